package main

import (
	"fmt"
	"net"
	"net/http"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/labstack/echo/v4"
)

// startDemo starts the emulator with two users.
func startDemo() (*genauthtest.Server, error) {
	demo, err := genauthtest.New(genauthtest.Config{UserPoolName: "Northwind"})
	if err != nil {
		return nil, err
	}
	addDemoUsers(demo)
	return demo, nil
}

func addDemoUsers(demo *genauthtest.Server) {
	demo.AddUser(genauthtest.User{ID: "alice-id", Username: "alice", Password: "alice-password"})
	demo.AddUser(genauthtest.User{ID: "bob-id", Username: "bob", Password: "bob-password"})
	demo.Enroll("alice-id", genauthtest.OTP)
}

// howToSignIn tells the demo's users and tokens. The tokens are opaque ones: they
// fit a line.
func howToSignIn(demo *genauthtest.Server, addr net.Addr) string {
	token := func(user string) string { return demo.Mint(genauthtest.Token{UserID: user, Opaque: true}) }
	return fmt.Sprintf(`portal: no GENAUTH_* is set: a GenAuth emulator runs at %[1]s
portal: in a browser, open http://%[2]s and sign in as
          alice / alice-password   user id alice-id, has enrolled an authenticator app
          bob   / bob-password     user id bob-id, has enrolled nothing
        http://%[2]s/demo shows the codes on their phones
portal: with curl:
          curl -i -H 'Authorization: Bearer %[3]s' http://%[2]s/api/admin   # alice
          curl -i -H 'Authorization: Bearer %[4]s' http://%[2]s/api/admin   # bob
`, demo.URL(), addr, token("alice-id"), token("bob-id"))
}

// phone is what the phone of a demo's user shows.
type phone struct{ User, App, SMS, Email string }

// demoPhone stands in for the phones of the demo's users. It is there only with
// the emulator, which serves only this machine.
func (p *portal) demoPhone(c echo.Context) error {
	var phones []phone
	for _, user := range []string{"alice", "bob"} {
		id := user + "-id"
		phones = append(phones, phone{
			User: user, App: p.demo.OTPCode(id),
			SMS: p.demo.PassCode(id, genauthtest.SMS), Email: p.demo.PassCode(id, genauthtest.Email),
		})
	}
	return p.render(c, http.StatusOK, view{Name: "demo", Phones: phones})
}
