// Package doctor finds out whether the settings for GenAuth are right, and how this GenAuth
// behaves where its documents leave a point open: docs/genauth-setup.md lists these points.
//
// What it tells is made to be pasted into a report: it has no token, no subject, no
// profile, no number or address, and neither the address of GenAuth nor the application.
package doctor

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

// Timeout is for a person who waits, not for a request.
const Timeout = 10 * time.Second

// Options are what a doctor goes by.
type Options struct {
	// Config is how GenAuth is asked. Its HTTPClient and Timeout are not used.
	Config client.Config
	// Token is the access token of a user. Without it, only what needs none is asked.
	Token string
	// Enrolled is what the user of the token has enrolled. Nil: it is not said.
	Enrolled []client.FactorType
}

// Doctor asks GenAuth.
type Doctor struct {
	Options

	claims  claims
	secrets secrets
	tap     *tap
	client  *client.Client

	// What was found out.
	factors []client.Factor
	listed  error           // of list-enrolled-factors
	data    json.RawMessage // of list-enrolled-factors
	offered map[client.FactorType]bool
	contact *contact
}

// contact is what the user's profile has that may count as a factor by itself.
type contact struct{ phone, email bool }

// New returns a Doctor. Its error quotes no setting.
func New(o Options) (*Doctor, error) {
	next, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("this build has another transport")
	}
	next = next.Clone()
	next.DisableCompression = true
	d := &Doctor{Options: o, claims: readClaims(o.Token), tap: &tap{next: next}}
	d.Config.HTTPClient = &http.Client{Transport: d.tap}
	d.Config.Timeout = Timeout
	c, err := client.New(d.Config)
	if err != nil {
		return nil, err
	}
	d.client = c
	d.secrets = secrets{c.BaseURL(), c.AppID()}
	if o.Token != "" {
		d.secrets = append(d.secrets, o.Token)
	}
	if u, err := url.Parse(c.BaseURL()); err == nil && u.Hostname() != "" {
		d.secrets = append(d.secrets, u.Host, u.Hostname())
	}
	d.secrets.addText(d.claims.payload)
	d.secrets.addText(d.claims.header["kid"])
	return d, nil
}

// Close closes the connections.
func (d *Doctor) Close() { d.tap.next.CloseIdleConnections() }

// Settings are the address and the application, which no report has.
func (d *Doctor) Settings() (address, appID string) { return d.client.BaseURL(), d.client.AppID() }

// Examine asks all that there is to ask. The token is sent only to a host that has shown to
// be a GenAuth that knows the application.
func (d *Doctor) Examine(ctx context.Context) Report {
	r := Report{Rows: []Row{}}
	if err := d.client.Check(ctx); err != nil {
		r.Problem = "the check was interrupted"
		if failed := (*client.CheckError)(nil); errors.As(err, &failed) {
			r.Problem, r.Answer = failed.Problem, codes(err)
		}
		return r.cleaned(d.secrets)
	}
	if r.Good = true; d.Token == "" {
		return r
	}
	r.Token = &Token{}
	r.Token.Kind, r.Token.Claims, r.Token.Life = d.claims.tell(time.Now())
	d.ask(ctx)
	if r.Token.Listed = verdictOf(d.listed) == accepted; r.Token.Listed {
		r.Token.Factors = d.types() + d.unread()
	} else {
		r.Token.Answer = codes(d.listed)
	}
	r.Rows = d.rows(ctx)
	r.Token.Rejected = d.refusal(ctx)
	r.Good = r.Token.Listed && r.Token.Rejected == ""
	return r.cleaned(d.secrets)
}

// refusal says why the middleware would answer 401 to the token, or "". It asks the
// middleware, which hears from GenAuth what has been heard.
func (d *Doctor) refusal(ctx context.Context) string {
	heard := func(context.Context, string) ([]client.Factor, error) { return d.factors, d.listed }
	mfa, err := echomfa.New(echomfa.Config{ //nolint:contextcheck // New has no context
		Client: echomfa.FactorListerFunc(heard), Namespace: "doctor", Audience: []string{d.client.AppID()},
	})
	if err != nil {
		return "the middleware cannot be made with this app id; see AppID"
	}
	defer func() { _ = mfa.Close() }()
	var refused *echomfa.TokenError
	if _, err = mfa.Decide(ctx, d.Token, echomfa.AnyOf(echomfa.OTP)); !errors.As(err, &refused) {
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
func (d *Doctor) ask(ctx context.Context) {
	d.factors, d.listed = d.client.ListEnrolledFactors(ctx, d.Token)
	d.data = d.tap.data
	for _, f := range d.factors {
		d.secrets.addText(f.ID)
		d.secrets.addText(f.Profile)
	}
	if verdictOf(d.listed) != accepted {
		return
	}
	if types, err := d.client.ListFactorsToEnroll(ctx, d.Token); err == nil {
		d.offered = make(map[client.FactorType]bool)
		for _, t := range types {
			d.offered[t.Normalize()] = true
		}
	}
	d.contact = d.askProfile(ctx)
}

// askProfile finds out whether the user's profile has a number and an address, by
// GET /api/v3/get-profile. It returns nil if GenAuth does not tell.
func (d *Doctor) askProfile(ctx context.Context) *contact {
	ctx, cancel := context.WithTimeout(ctx, d.Config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.client.BaseURL()+"/api/v3/get-profile", http.NoBody)
	if err != nil {
		return nil
	}
	req.Header.Set("Authorization", "Bearer "+d.Token)
	name := d.Config.AppIDHeader
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
func (d *Doctor) listAs(ctx context.Context, header, appID, token string) error {
	config := d.Config
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
func (d *Doctor) types() string {
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
func (d *Doctor) unread() string {
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
