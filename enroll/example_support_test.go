package enroll_test

import (
	"context"
	"html"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
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

// browser keeps cookies, and knows the page that it is on.
type browser struct {
	client *http.Client
	at     *url.URL
	page   string
}

func newBrowser(server *httptest.Server) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	at, err := url.Parse(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	b := &browser{client: server.Client(), at: at}
	b.client.Jar = jar
	return b
}

// open opens a path, and returns the heading and the address of the page that it ends on.
func (b *browser) open(path string) string { return b.ask(http.MethodGet, path, nil) }

// submit fills in the last form on the page and sends it.
func (b *browser) submit(fields ...string) string {
	forms := strings.Split(b.page, "<form ")
	form := forms[len(forms)-1]
	values := formOf(fields...)
	for _, field := range regexp.MustCompile(`type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(form, -1) {
		values.Set(field[1], html.UnescapeString(field[2]))
	}
	action := regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(form)
	return b.ask(http.MethodPost, action[1], values)
}

func (b *browser) ask(method, path string, form url.Values) string {
	to, err := b.at.Parse(path)
	if err != nil {
		log.Panic(err)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		log.Panic(err)
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.client.Do(r)
	if err != nil {
		log.Panic(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		log.Panic(err)
	}
	b.at, b.page = res.Request.URL, string(body)
	heading := regexp.MustCompile("<h1>(.*)</h1>").FindStringSubmatch(b.page)
	if heading == nil {
		return res.Status
	}
	return heading[1] + ": " + b.at.RequestURI()
}
