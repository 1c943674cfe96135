package rulesecho4_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/echomfa/echomfa"

	"github.com/echomfa/echomfa/rules"
)

// The enrollment pages ask for what the rule of the page that was wanted asks for.
func Example_enrollmentPages() {
	mfa, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(lister), Namespace: "shop", InsecureAnyAudience: true, // of this example
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = mfa.Close() }()
	text, err := rules.Parse([]byte(`
version: 1
default: {require: OTP or FACE}
rules:
  - {name: approvers, require: OTP and FACE, under: [/payouts], when: {role: [approver]}}
`), "mfa.yaml")
	if err != nil {
		log.Fatal(err) //nolint:gocritic // of this example
	}
	file, err := rules.New(text, rules.Config{Enforcer: mfa, Roles: []string{"approver"}})
	if err != nil {
		log.Fatal(err)
	}
	identityOf := func(*http.Request) rules.Identity { return rules.Identity{Roles: []string{"approver"}} }

	policyOf := func(r *http.Request, returnTo string) (echomfa.Policy, error) {
		route := "/admin" // also without a page that was wanted
		if strings.HasPrefix(returnTo, "/payouts/") { // a guess does no harm here: it opens nothing
			route = "/payouts/:id"
		}
		return file.File().Match("GET", route).Rule(time.Now(), identityOf(r)).Policy(), nil
	}

	for _, returnTo := range []string{"", "/payouts/7"} {
		policy, err := policyOf(httptest.NewRequest(http.MethodGet, "/mfa", http.NoBody), returnTo)
		fmt.Println(policy, err)
	}
	// Output:
	// OTP or FACE <nil>
	// OTP and FACE <nil>
}
