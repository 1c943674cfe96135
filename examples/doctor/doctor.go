package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// The two names of the header that GenAuth's clients send.
const (
	authingHeader = client.DefaultAppIDHeader
	genauthHeader = "x-genauth-app-id"
)

// Neither is one of GenAuth: they show how it answers what it does not know.
const (
	madeUpApp   = "000000000000000000000000"
	madeUpToken = "made-up-token-of-doctor"
)

// doctor asks GenAuth, and keeps what there is to tell.
type doctor struct {
	options
	token   string
	claims  claims
	secrets secrets
	tap     *tap
	client  *client.Client
	lines   []string

	// What was found out.
	factors []client.Factor
	listed  error           // of list-enrolled-factors
	data    json.RawMessage // of list-enrolled-factors
	offered map[client.FactorType]bool
	contact *contact
}

// contact is what the user's profile has that may count as a factor by itself.
type contact struct{ phone, email bool }

func newDoctor(o options, token string) (*doctor, error) {
	next, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("this build has another transport")
	}
	next = next.Clone()
	next.DisableCompression = true
	d := &doctor{options: o, token: token, claims: readClaims(token), tap: &tap{next: next}}
	d.config.HTTPClient = &http.Client{Transport: d.tap}
	d.config.Timeout = 10 * time.Second // a person is waiting, not a request
	c, err := client.New(d.config)
	if err != nil {
		return nil, err
	}
	d.client = c
	d.secrets = secrets{token, c.BaseURL(), c.AppID()}
	if u, err := url.Parse(c.BaseURL()); err == nil && u.Hostname() != "" {
		d.secrets = append(d.secrets, u.Host, u.Hostname())
	}
	d.secrets.addText(d.claims.payload)
	d.secrets.addText(d.claims.header["kid"])
	return d, nil
}

func (d *doctor) close() { d.client.CloseIdleConnections() }

func (d *doctor) say(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// examine asks all that there is to ask, and reports whether all is well. The
// token is sent only to a host that has shown to be a GenAuth.
func (d *doctor) examine(ctx context.Context) bool {
	if err := d.client.Check(ctx); err != nil {
		var failed *client.CheckError
		if !errors.As(err, &failed) {
			d.say("check: failed: the program was ended")
			return false
		}
		d.say("check: failed: %s (%s)", failed.Problem, codes(err))
		return false
	}
	d.say("check: good: this is a GenAuth, and it does not deny the application")
	d.lines = append(d.lines, d.claims.tell(time.Now())...)
	d.ask(ctx)
	if verdictOf(d.listed) == accepted {
		d.say("list-enrolled-factors: accepted: %s%s", d.types(), d.unread())
	} else {
		d.say("list-enrolled-factors: failed: %s", codes(d.listed))
	}
	for _, row := range d.rows(ctx) {
		d.say("%s %s", row.point, row.finding)
	}
	why := d.refusal(ctx)
	if why != "" {
		d.say("echomfa rejects this token: %s", why)
	}
	return why == "" && verdictOf(d.listed) == accepted
}

// refusal says why the middleware would answer 401 to the token, or "". It asks the
// middleware, which hears from GenAuth what has been heard.
func (d *doctor) refusal(ctx context.Context) string {
	heard := func(context.Context, string) ([]client.Factor, error) { return d.factors, d.listed }
	mfa, err := echomfa.New(echomfa.Config{ //nolint:contextcheck // New has no context
		Client: echomfa.FactorListerFunc(heard), Namespace: "doctor", Audience: []string{d.client.AppID()},
	})
	if err != nil {
		return "the middleware cannot be made with this app id; see AppID"
	}
	defer func() { _ = mfa.Close() }()
	var refused *echomfa.TokenError
	if _, err = mfa.Decide(ctx, d.token, echomfa.AnyOf(echomfa.OTP)); !errors.As(err, &refused) {
		return ""
	}
	switch named, this := d.claims.isFor(d.client.AppID()); {
	case errors.Is(d.listed, client.ErrUnauthenticated):
		return "GenAuth rejects it"
	case d.claims.isID():
		return "it is an ID token; send the access token"
	case d.claims.jwt && d.claims.payload["sub"] == nil, d.claims.payload["sub"] == "":
		return "it has no sub, so it is not the token of a user"
	case d.claims.jwt && (!named || !this):
		return "its aud lacks the app id; see AppID/Audience"
	}
	return refused.Reason
}

// ask makes the calls that more than one row needs.
func (d *doctor) ask(ctx context.Context) {
	d.factors, d.listed = d.client.ListEnrolledFactors(ctx, d.token)
	d.data = d.tap.data
	for _, f := range d.factors {
		d.secrets.addText(f.ID)
		d.secrets.addText(f.Profile)
	}
	if verdictOf(d.listed) != accepted {
		return
	}
	if types, err := d.client.ListFactorsToEnroll(ctx, d.token); err == nil {
		d.offered = make(map[client.FactorType]bool)
		for _, t := range types {
			d.offered[t.Normalize()] = true
		}
	}
	d.contact = d.askProfile(ctx)
}

// askProfile finds out whether the user's profile has a number and an address, by
// GET /api/v3/get-profile. It returns nil if GenAuth does not tell.
func (d *doctor) askProfile(ctx context.Context) *contact {
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.client.BaseURL()+"/api/v3/get-profile", http.NoBody)
	if err != nil {
		return nil
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	name := d.config.AppIDHeader
	if name == "" {
		name = authingHeader
	}
	req.Header.Set(name, d.client.AppID())
	resp, err := d.tap.RoundTrip(req)
	if err != nil {
		return nil
	}
	_ = resp.Body.Close()
	var profile map[string]any
	if resp.StatusCode != http.StatusOK || json.Unmarshal(d.tap.data, &profile) != nil || profile == nil {
		return nil
	}
	d.secrets.addText(profile)
	phone, _ := profile["phone"].(string)
	email, _ := profile["email"].(string)
	return &contact{phone: phone != "", email: email != ""}
}

// listAs asks with another header, application or token. An empty header sends no
// application.
func (d *doctor) listAs(ctx context.Context, header, appID, token string) error {
	config := d.config
	other := &tap{next: d.tap.next}
	if header == "" {
		header = authingHeader
		other.drop = header
	}
	config.HTTPClient, config.AppIDHeader, config.AppID = &http.Client{Transport: other}, header, appID
	c, err := client.New(config)
	if err != nil {
		return err
	}
	_, err = c.ListEnrolledFactors(ctx, token)
	d.tap.limited = d.tap.limited || other.limited
	d.tap.retryAfter = d.tap.retryAfter || other.retryAfter
	return err
}

// types names the kinds of factors in the list.
func (d *doctor) types() string {
	if len(d.factors) == 0 {
		return "no factors"
	}
	told := make([]string, 0, len(d.factors))
	for _, f := range d.factors {
		name := string(f.Type)
		if !plainName.MatchString(name) {
			name = "a type with a name of another form"
		}
		told = append(told, name)
	}
	return strings.Join(told, " ")
}

// unread says how many rows of the list are none that the client can read, or "".
func (d *doctor) unread() string {
	var partial *client.PartialError
	if !errors.As(d.listed, &partial) {
		return ""
	}
	return fmt.Sprintf(" and %d rows that cannot be read", partial.Skipped)
}

// codes tells of an error only what is a number or a word of the client's.
func codes(err error) string {
	var (
		api       *client.APIError
		transport *client.TransportError
		class     = "unknown"
	)
	for name, sentinel := range map[string]error{
		"unauthenticated": client.ErrUnauthenticated, "rate limited": client.ErrRateLimited,
		"misconfigured": client.ErrMisconfigured, "malformed": client.ErrMalformed, "unavailable": client.ErrUnavailable,
	} {
		if errors.Is(err, sentinel) {
			class = name
		}
	}
	switch {
	case errors.As(err, &api):
		return fmt.Sprintf("%s: HTTP %d, statusCode %d, apiCode %d", class, api.HTTPStatus, api.StatusCode, api.APICode)
	case errors.As(err, &transport) && transport.Timeout():
		return class + ": no answer in time"
	}
	return class
}
