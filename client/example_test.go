package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/echomfa/echomfa/client"
)

// serve starts a server that knows two tokens, in place of GenAuth.
func serve() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path + " " + r.Header.Get("Authorization") {
		case "/api/v3/list-enrolled-factors Bearer ann":
			_, _ = io.WriteString(w, `{"statusCode":200,"data":[{"factorId":"1","factorType":"OTP","profile":{}}]}`)
		case "/api/v3/enroll-factor Bearer ann":
			_, _ = io.WriteString(w, `{"statusCode":400,"apiCode":6001,"message":"wrong TOTP code"}`)
		case "/oidc/.well-known/openid-configuration ":
			_, _ = io.WriteString(w, `{"issuer":"https://example.genauth.ai/oidc"}`)
		default:
			_, _ = io.WriteString(w, `{"statusCode":401,"apiCode":2020,"message":"not logged in"}`)
		}
	}))
}

func ExampleClient_Check() {
	server := serve()
	defer server.Close()

	genauth, err := client.New(client.Config{BaseURL: server.URL, AppID: "your-app-id"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer genauth.CloseIdleConnections()

	ctx := context.Background()
	if err := genauth.Check(ctx); err != nil {
		log.Print(err) // or end here, if the app is of no use without GenAuth
	}
	server.Close()
	var failed *client.CheckError
	if errors.As(genauth.Check(ctx), &failed) {
		fmt.Println(failed.Problem)
	}
	// Output:
	// the connection is refused; nothing listens at BaseURL
}

func ExampleClient_ListEnrolledFactors() {
	server := serve()
	defer server.Close()

	genauth, err := client.New(client.Config{BaseURL: server.URL, AppID: "your-app-id"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer genauth.CloseIdleConnections()

	for _, token := range []string{"ann", "expired"} {
		factors, err := genauth.ListEnrolledFactors(context.Background(), token)
		switch {
		case errors.Is(err, client.ErrUnauthenticated):
			fmt.Println("sign in again")
		case err != nil:
			fmt.Println("cannot tell:", err)
		default:
			for _, factor := range factors {
				fmt.Println("enrolled:", factor.Type.Normalize())
			}
		}
	}
	// Output:
	// enrolled: OTP
	// sign in again
}

func ExampleNew_mistakes() {
	_, err := client.New(client.Config{BaseURL: "http://example.com", Timeout: -1})
	fmt.Println(err)
	// Output:
	// client: BaseURL: is an http URL of a host that is not the loopback interface; use https, or set InsecureHTTP
	// client: AppID: is required
	// client: Timeout: is negative
}

func ExampleIsWrongCode() {
	server := serve()
	defer server.Close()

	genauth, err := client.New(client.Config{BaseURL: server.URL, AppID: "your-app-id"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer genauth.CloseIdleConnections()

	err = genauth.EnrollFactor(context.Background(), "ann", client.EnrollConfirmation{
		Type: client.OTP, EnrollmentToken: "from SendEnrollFactorRequest", PassCode: "000000",
	})
	fmt.Println(client.IsWrongCode(err))
	// Output: true
}

func ExampleAPIError() {
	var err error = &client.APIError{Op: "list-enrolled-factors", HTTPStatus: 200, StatusCode: 429, RetryAfter: 7e9}
	var failure *client.APIError
	if errors.Is(err, client.ErrRateLimited) && errors.As(err, &failure) {
		fmt.Println("wait", failure.RetryAfter)
	}
	// Output: wait 7s
}

func ExampleEnrollment() {
	enrollment := client.Enrollment{Token: "secret"}
	fmt.Printf("%+v has a token of %d bytes\n", enrollment, len(enrollment.Token))
	// Output: [redacted] has a token of 6 bytes
}
