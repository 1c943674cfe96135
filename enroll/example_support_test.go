package enroll_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"regexp"
)

// open opens an address as a browser does, and returns the heading and the
// address of the page that it ends on.
func open(address, token string) string {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, nil)
	if err != nil {
		log.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token) // one example reads this, and one the cookie
	r.Header.Set("Cookie", "session="+token)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		log.Panic(err)
	}
	heading := regexp.MustCompile("<h1>(.*)</h1>").FindSubmatch(body)
	if heading == nil {
		return res.Status
	}
	return string(heading[1]) + ": " + res.Request.URL.RequestURI()
}
