package doctor

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

func undetermined(format string, args ...any) string {
	return notDetermined + fmt.Sprintf(format, args...)
}

// rows has a line for each row of "What is unsettled", in its order.
func (d *Doctor) rows(ctx context.Context) []Row {
	return []Row{
		{Point: "Are SMS and EMAIL listed without having been enrolled?", Finding: d.implicit()},
		{Point: "Is PASSKEY listed?", Finding: d.passkey()},
		{Point: "`data` as one object, as the sample shows it, not an array", Finding: d.shape()},
		{Point: "`data: null` in a success", Finding: d.null()},
		{Point: "Name of the app-id header", Finding: d.headers(ctx)},
		{Point: "Is the app-id header needed?", Finding: d.headerNeeded(ctx)},
		{Point: "Answer to an expired or revoked token", Finding: d.badToken(ctx)},
		{Point: "Are tokens of other apps taken?", Finding: d.otherApp()},
		{Point: "Are mfaTokens taken?", Finding: d.mfaToken(ctx)},
		{Point: "Are ID tokens taken?", Finding: d.idToken()},
		{Point: "`Retry-After` on a 429", Finding: d.retryAfter()},
		{Point: "Form of factor ids", Finding: d.ids()},
		{Point: "Is there an event for a factor that is enrolled or removed?", Finding: undetermined("no call tells; look for a webhook in the console")},
	}
}

// unlisted says why there is no list to look at, or "".
func (d *Doctor) unlisted() string {
	if verdictOf(d.listed) != accepted {
		return undetermined("there is no list of factors")
	}
	return ""
}

func (d *Doctor) has(t client.FactorType) bool {
	return slices.ContainsFunc(d.factors, func(f client.Factor) bool { return f.Type.Normalize() == t })
}

func (d *Doctor) implicit() string {
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
func (d *Doctor) implicitOf(t client.FactorType) string {
	listed, said := d.has(t), d.Enrolled != nil
	has := d.contact != nil && (t == client.SMS && d.contact.phone || t == client.Email && d.contact.email)
	switch {
	case listed && d.offered[t]:
		return "yes: it is listed, and can still be enrolled"
	case listed && said && !slices.Contains(d.Enrolled, t):
		return "yes: it is listed, and --enrolled does not name it"
	case listed && said:
		return undetermined("the user has enrolled it")
	case listed:
		return undetermined("it is listed; say by --enrolled whether the user has enrolled it")
	case d.unread() != "":
		return undetermined("it may be a row that cannot be read")
	case d.contact == nil:
		return undetermined("it is not listed, and get-profile does not tell")
	case !has:
		return undetermined("the user's profile has no such address")
	}
	return "no: the user's profile has an address, and it is not listed"
}

func (d *Doctor) passkey() string {
	switch why := d.unlisted(); {
	case why != "":
		return why
	case d.has(client.Passkey):
		return "yes"
	}
	return undetermined("there is none in this user's list")
}

func (d *Doctor) shape() string {
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

func (d *Doctor) null() string {
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

func (d *Doctor) headers(ctx context.Context) string {
	asked := []struct{ told, name string }{{authingHeader, authingHeader}, {genauthHeader, genauthHeader}}
	if own := d.headerName(); !strings.EqualFold(own, authingHeader) && !strings.EqualFold(own, genauthHeader) {
		asked = append(asked, struct{ told, name string }{"that of --app-id-header", own})
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
func (d *Doctor) header(ctx context.Context, name string) (finding string, taken bool) {
	right := d.listAs(ctx, name, d.client.AppID(), d.Token)
	wrong := d.listAs(ctx, name, madeUpApp, d.Token)
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

func (d *Doctor) headerNeeded(ctx context.Context) string {
	if why := d.unlisted(); why != "" {
		return why
	}
	err := d.listAs(ctx, "", d.client.AppID(), d.Token)
	switch verdictOf(err) {
	case accepted:
		return "no"
	case refused:
		return "yes: " + codes(err)
	case unknown:
	}
	return undetermined("the call failed: %s", codes(err))
}

func (d *Doctor) badToken(ctx context.Context) string {
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

func (d *Doctor) headerName() string {
	if d.Config.AppIDHeader != "" {
		return d.Config.AppIDHeader
	}
	return authingHeader
}

// taken tells whether a token of a kind was taken, unless it was refused for its
// age.
func (d *Doctor) taken() string {
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

func (d *Doctor) otherApp() string {
	switch named, this := d.claims.isFor(d.client.AppID()); {
	case !named:
		return undetermined("the token names no app")
	case this:
		return undetermined("the token is of this app")
	}
	return d.taken()
}

func (d *Doctor) mfaToken(ctx context.Context) string {
	info, err := d.client.IntrospectMFAToken(ctx, d.Token)
	switch {
	case err != nil:
		return undetermined("the introspection failed: %s", codes(err))
	case !info.Active:
		return undetermined("the token is not an mfaToken")
	}
	return d.taken()
}

func (d *Doctor) idToken() string {
	if !d.claims.isID() {
		return undetermined("the token has neither nonce nor at_hash")
	}
	return d.taken()
}

func (d *Doctor) retryAfter() string {
	switch {
	case d.tap.retryAfter:
		return "yes"
	case d.tap.limited:
		return "no: a 429 came without"
	}
	return undetermined("no call met a 429")
}

// ids tells the forms of factor ids, and no id.
func (d *Doctor) ids() string {
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
