package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/echomfa/echomfa/client"
)

// row is one point that GenAuth's documents leave open, as docs/genauth-setup.md
// names it, and what this GenAuth does.
type row struct{ point, finding string }

func undetermined(format string, args ...any) string {
	return "not determined: " + fmt.Sprintf(format, args...)
}

// rows has a line for each row of "What is unsettled", in its order.
func (d *doctor) rows(ctx context.Context) []row {
	return []row{
		{"Are SMS and EMAIL listed without having been enrolled?", d.implicit()},
		{"Is PASSKEY listed?", d.passkey()},
		{"`data` as one object, as the sample shows it, not an array:", d.shape()},
		{"`data: null` in a success:", d.null()},
		{"Name of the app-id header:", d.headers(ctx)},
		{"Is the app-id header needed?", d.headerNeeded(ctx)},
		{"Answer to an expired or revoked token:", d.badToken(ctx)},
		{"Are tokens of other apps taken?", d.otherApp()},
		{"Are mfaTokens taken?", d.mfaToken(ctx)},
		{"Are ID tokens taken?", d.idToken()},
		{"`Retry-After` on a 429:", d.retryAfter()},
		{"Form of factor ids:", d.ids()},
		{"Is there an event for a factor that is enrolled or removed?", undetermined("no call tells; look for a webhook in the console")},
	}
}

// unlisted says why there is no list to look at, or "".
func (d *doctor) unlisted() string {
	if verdictOf(d.listed) != accepted {
		return undetermined("there is no list of factors")
	}
	return ""
}

func (d *doctor) has(t client.FactorType) bool {
	return slices.ContainsFunc(d.factors, func(f client.Factor) bool { return f.Type.Normalize() == t })
}

func (d *doctor) implicit() string {
	if why := d.unlisted(); why != "" {
		return why
	}
	findings := make([]string, 0, 2)
	for _, t := range []client.FactorType{client.SMS, client.Email} {
		findings = append(findings, string(t)+": "+d.implicitOf(t))
	}
	return strings.Join(findings, "; ")
}

// implicitOf compares what is listed with what the user says to have enrolled, what
// can still be enrolled, and what the profile has.
func (d *doctor) implicitOf(t client.FactorType) string {
	listed, said := d.has(t), d.enrolled != nil
	has := d.contact != nil && (t == client.SMS && d.contact.phone || t == client.Email && d.contact.email)
	switch {
	case listed && d.offered[t]:
		return "yes: it is listed, and can still be enrolled"
	case listed && said && !slices.Contains(d.enrolled, string(t)):
		return "yes: it is listed, and -enrolled does not name it"
	case listed && said:
		return undetermined("the user has enrolled it")
	case listed:
		return undetermined("it is listed; say by -enrolled whether the user has enrolled it")
	case d.unread() != "":
		return undetermined("it may be a row that cannot be read")
	case d.contact == nil:
		return undetermined("it is not listed, and get-profile does not tell")
	case !has:
		return undetermined("the user's profile has no such address")
	}
	return "no: the user's profile has an address, and it is not listed"
}

func (d *doctor) passkey() string {
	switch why := d.unlisted(); {
	case why != "":
		return why
	case d.has(client.Passkey):
		return "yes"
	}
	return undetermined("there is none in this user's list")
}

func (d *doctor) shape() string {
	text := string(d.data)
	switch why := d.unlisted(); {
	case why != "":
		return why
	case strings.HasPrefix(text, "["):
		return fmt.Sprintf("an array, of %d%s", len(d.factors), d.unread())
	case strings.HasPrefix(text, "{"):
		return "one object"
	}
	return undetermined("it is neither")
}

func (d *doctor) null() string {
	var api *client.APIError
	switch {
	case errors.As(d.listed, &api) && api.StatusCode == http.StatusOK && string(d.data) == "null":
		return "yes: set NullDataMeansNone if this user has no factor"
	case verdictOf(d.listed) != accepted:
		return undetermined("there is no list of factors")
	case d.unread() != "":
		return undetermined("a row of the list cannot be read")
	case len(d.factors) == 0:
		return "no: the list of a user without factors is an empty array"
	}
	return undetermined("the user has factors")
}

func (d *doctor) headers(ctx context.Context) string {
	asked := []struct{ told, name string }{{authingHeader, authingHeader}, {genauthHeader, genauthHeader}}
	if own := d.headerName(); !strings.EqualFold(own, authingHeader) && !strings.EqualFold(own, genauthHeader) {
		asked = append(asked, struct{ told, name string }{"that of -app-id-header", own})
	}
	findings := make([]string, 0, len(asked))
	anyone := false
	for _, header := range asked {
		finding, taken := d.header(ctx, header.name)
		anyone = anyone || taken
		findings = append(findings, header.told+" "+finding)
	}
	if !anyone {
		return undetermined("the token is rejected with each of them")
	}
	return strings.Join(findings, "; ")
}

// header asks twice: what is honored lets the right application in and an unknown
// one not. It reports too whether the right one was let in.
func (d *doctor) header(ctx context.Context, name string) (finding string, taken bool) {
	right := d.listAs(ctx, name, d.client.AppID(), d.token)
	wrong := d.listAs(ctx, name, madeUpApp, d.token)
	switch r, w := verdictOf(right), verdictOf(wrong); {
	case r == unknown || w == unknown:
		return "is " + undetermined("a call failed"), r == accepted
	case r == accepted && w == refused:
		return "is honored", true
	case r == accepted:
		return "is ignored: the call succeeds with an unknown app too", true
	}
	return "is not honored", false
}

func (d *doctor) headerNeeded(ctx context.Context) string {
	if why := d.unlisted(); why != "" {
		return why
	}
	err := d.listAs(ctx, "", d.client.AppID(), d.token)
	switch verdictOf(err) {
	case accepted:
		return "no"
	case refused:
		return "yes: " + codes(err)
	case unknown:
	}
	return undetermined("the call failed: %s", codes(err))
}

func (d *doctor) badToken(ctx context.Context) string {
	made := d.listAs(ctx, d.headerName(), d.client.AppID(), madeUpToken)
	answer := "a made-up token is answered by " + codes(made)
	switch {
	case verdictOf(made) == accepted:
		answer = "a made-up token is accepted"
	case d.claims.expired(time.Now()) && verdictOf(d.listed) == accepted:
		return "the expired token is accepted; " + answer
	case d.claims.expired(time.Now()):
		return "the expired token is answered by " + codes(d.listed) + "; " + answer
	}
	return undetermined("this needs such a token; %s", answer)
}

func (d *doctor) headerName() string {
	if d.config.AppIDHeader != "" {
		return d.config.AppIDHeader
	}
	return authingHeader
}

// taken tells whether a token of a kind was taken, unless it was refused for its
// age.
func (d *doctor) taken() string {
	switch v := verdictOf(d.listed); {
	case v == accepted:
		return "yes"
	case d.claims.expired(time.Now()):
		return undetermined("the token has expired")
	case v == refused:
		return "no: " + codes(d.listed)
	}
	return undetermined("the call failed: %s", codes(d.listed))
}

func (d *doctor) otherApp() string {
	switch named, this := d.claims.isFor(d.client.AppID()); {
	case !named:
		return undetermined("the token names no app")
	case this:
		return undetermined("the token is of this app")
	}
	return d.taken()
}

func (d *doctor) mfaToken(ctx context.Context) string {
	info, err := d.client.IntrospectMFAToken(ctx, d.token)
	switch {
	case err != nil:
		return undetermined("the introspection failed: %s", codes(err))
	case !info.Active:
		return undetermined("the token is not an mfaToken")
	}
	return d.taken()
}

func (d *doctor) idToken() string {
	if !d.claims.isID() {
		return undetermined("the token has neither nonce nor at_hash")
	}
	return d.taken()
}

func (d *doctor) retryAfter() string {
	switch {
	case d.tap.retryAfter:
		return "yes"
	case d.tap.limited:
		return "no: a 429 came without"
	}
	return undetermined("no call met a 429")
}

// ids tells the forms of factor ids, and no id.
func (d *doctor) ids() string {
	if why := d.unlisted(); why != "" {
		return why
	}
	if len(d.factors) == 0 {
		return undetermined("there is no factor in the list that can be read")
	}
	hex := regexp.MustCompile(`\A[0-9a-fA-F]{24}\z`)
	var forms []string
	for _, f := range d.factors {
		form := "another form"
		if before, _, composite := strings.Cut(f.ID, "|"); composite && hex.MatchString(before) {
			form = "24 hexadecimal digits, |, and a word"
		} else if composite {
			form = "an id, |, and a word"
		} else if hex.MatchString(f.ID) {
			form = "24 hexadecimal digits"
		}
		if !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	slices.Sort(forms)
	return strings.Join(forms, "; ")
}
