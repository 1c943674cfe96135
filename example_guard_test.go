package echomfa_test

import (
	"fmt"
	"net/http"

	"github.com/echomfa/echomfa"
)

// handle is what the router calls.
type handle func(w http.ResponseWriter, r *http.Request, params map[string]string)

// requireMFA returns next behind the guard. The route is as it was registered.
func requireMFA(guard *echomfa.Guard[*http.Request], route string, next handle) handle {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		d, err := guard.Check(r, r, route)
		if err != nil {
			guard.Refuse(w, r, err) // the whole answer: next must not run
			return
		}
		next(w, guard.WithDecision(r, &d), params)
	}
}

// An adapter for a router that has handlers of its own kind.
func ExampleNewGuard() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa := mustNew(genauth)
	defer func() { _ = mfa.Close() }()
	guard, err := echomfa.NewGuard(echomfa.GuardConfig[*http.Request]{
		Enforcer: mfa,
		Policy:   echomfa.AnyOf(echomfa.OTP, echomfa.Face),
	})
	if err != nil {
		panic(err)
	}
	user := requireMFA(guard, "/users/:id", func(w http.ResponseWriter, _ *http.Request, params map[string]string) {
		_, _ = fmt.Fprint(w, "user ", params["id"])
	})

	// This stands for the router.
	router := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { user(w, r, map[string]string{"id": "7"}) })
	alice := ask(router, "GET", "/users/7", "Authorization: Bearer "+emulator.AccessToken("alice"))
	bob := ask(router, "GET", "/users/7", "Authorization: Bearer "+emulator.AccessToken("bob"))
	fmt.Println(alice.Code, alice.Body)
	fmt.Println(bob.Code, bob.Header().Get("Content-Type"))
	// Output:
	// 200 user 7
	// 403 application/problem+json
}
