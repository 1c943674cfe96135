package genauthtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/echomfa/echomfa/genauthtest"
)

func Example() {
	genauth, err := genauthtest.New(genauthtest.Config{})
	if err != nil {
		panic(err)
	}
	defer genauth.Close()
	alice := genauth.AddUser(genauthtest.User{Username: "alice"})
	token := genauth.AccessToken(alice.ID)

	list := func() {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, genauth.URL()+genauthtest.ListEnrolledFactorsPath, http.NoBody)
		if err != nil {
			panic(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("X-Authing-App-Id", genauth.AppID())
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			panic(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		fmt.Println(resp.StatusCode, len(body) > 0, genauth.Enrolled(alice.ID))
	}
	list()
	genauth.Enroll(alice.ID, genauthtest.OTP)
	list()
	genauth.SetFault(genauthtest.Fault{Change: genauthtest.HTTPStatus(http.StatusBadGateway, ""), Times: 1})
	list()
	fmt.Println(genauth.ListCalls())

	// Output:
	// 200 true []
	// 200 true [OTP]
	// 502 true [OTP]
	// 3
}
