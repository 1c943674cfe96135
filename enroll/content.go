package enroll

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/echomfa/echomfa/client"
)

// Page is what a template is given. Texts that are not the app's own come from
// GenAuth or from the user: html/template escapes them.
//
// As a whole it prints as "[redacted]", also in a template: it may hold a secret,
// a recovery code and personal data.
type Page struct {
	secret

	// Name is the template: "start", "deadend", "prove", "signin", "otp",
	// "address", "sent", "face", "recovery", "remove", "changed" or "message".
	Name string
	// Lang is the language of the page, and Dir "rtl" if it is written from right to
	// left.
	Lang, Dir string
	// Brand is the look of the app, and Support whom to ask.
	Brand   Brand
	Support string
	// Base is the path of the pages; Style and Script are those of the files.
	Base, Style, Script string
	// User is the user as they know themselves, and SignOut where they sign out: by a
	// form if SignOutPost is set, else by a link. Each may be empty.
	User, SignOut string
	SignOutPost   bool
	// ReturnParam and ReturnTo are the return-to of the forms; Back is where
	// the user goes in the end, and Home where they go without a return-to. Start is
	// the first page, and Cancel where the step was begun, or the first page if that
	// is closed to the user.
	ReturnParam, ReturnTo, Back, Home, Start, Cancel string
	// Status is the status of the answer.
	Status int
	// Error is what is wrong, in a sentence, and Field the id of the input
	// that it is about, if there is one. Notice is what the user should know.
	Error, Field, Notice string
	// Reference is what the log has about Error, for the user to quote. It may be empty.
	Reference string
	// At is when what was refused may be tried again, and SendAt when a code may be
	// sent again. Each may be zero.
	At, SendAt time.Time
	// State is the hidden field of the forms, and Step the id of the page in its
	// address.
	State, Step string
	// FromList says that the step was begun on the first page, which lists the user's
	// factors, and not on a page of the app.
	FromList bool

	// Satisfied says that nothing is missing. Missing are the alternatives
	// otherwise, of which those that the app does not offer are left out if there are
	// others. Perhaps are what other routes of the app ask for, one of which may be
	// what was wanted. Elsewhere are those that these pages cannot set up, or the part of
	// Missing that they cannot, though GenAuth offers it.
	Satisfied                   bool
	Missing, Perhaps, Elsewhere [][]client.FactorType
	// Enrolled are the types of the user's factors, and Methods the factors; Helpful
	// are those that can be added and bring the user nearer, Other the rest.
	Enrolled, Helpful, Other []client.FactorType
	Methods                  []Choice

	// Type is the factor that the page is about, and Changed what has been done to it.
	Type    client.FactorType
	Changed Change
	// QRCode, KeyLink and Secret are the same key for an authenticator app: a
	// picture, a link for an app on the same device, and text. Account is what the
	// app lists it as, and Digits how long its codes are. Settings are algorithm,
	// digits and seconds, if they are not those that apps take for granted.
	QRCode, KeyLink template.URL
	Secret, Account string
	Digits          int
	Settings        []any
	// Address is where a code goes. Region, Phone and Email are as the user
	// typed them. Correct is the page on which they can be changed.
	Address, Region, Phone, Email, Correct string
	// RecoveryCode is shown once.
	RecoveryCode string
	// Choices are the factors of Type, of which one is to be removed. Locks
	// says that removing it shuts pages that are open now, and NeedsCode that
	// a code of the authenticator app is asked for.
	Choices          []Choice
	Locks, NeedsCode bool
	// Understood says that the user has ticked the box that goes with Locks.
	Understood bool
	// Action is the form that a code is asked for, and FactorID its factor.
	Action, FactorID string
	// SignIn is the page to sign in again, Hosted a page of GenAuth, and Retry the page on
	// which to try again what could not be done.
	SignIn, Hosted, Retry string

	texts map[string]string
}

// Choice is a factor of the user. As a whole it prints as "[redacted]".
type Choice struct {
	secret

	// ID is GenAuth's; empty if it is not known. Hint tells the factors of a type
	// apart: the end of a number, or the start of an address.
	ID, Hint string
	// Type is the factor's type.
	Type client.FactorType
}

// Choosing is a page and the factors to choose from.
type Choosing struct {
	Page  *Page
	Types []client.FactorType
}

// T returns a text in the page's language. The values stand for its %s.
func (p *Page) T(key string, values ...any) string {
	text, ok := p.texts[key]
	if !ok {
		return key
	}
	// Not Sprintf: an app's text may have a percent sign.
	var b strings.Builder
	for _, value := range values {
		before, after, _ := strings.Cut(text, "%s")
		_, _ = fmt.Fprint(&b, before, value) // a Builder takes all
		text = after
	}
	return b.String() + text
}

// speak sets the language of the page, and what is said in it.
func (p *Page) speak(l languages, tag, support string) {
	p.Lang, p.Dir, p.texts = tag, direction(tag), l[tag]
	p.Support = cmp.Or(p.texts["support"], support)
}

// Title returns the heading of the page.
func (p *Page) Title() string {
	switch {
	case p.Name == "start" && !p.Satisfied && len(p.Enrolled) > 0:
		return p.T("title.needed_more")
	case p.Name == "start" && !p.Satisfied:
		return p.T("title.needed")
	case p.Status == http.StatusNotFound:
		return p.T("title.not_found")
	case p.Name == "face":
		return p.T("title.face", p.Provider())
	case p.Name == "changed" && p.Changed == 0:
		return p.T("title.continue")
	case p.Name == "changed":
		return p.T("title." + p.Changed.String())
	}
	return p.T("title." + p.Name)
}

// Provider returns what users know GenAuth as.
func (p *Page) Provider() string {
	if p.Brand.ProviderName != "" {
		return p.Brand.ProviderName
	}
	return "GenAuth"
}

// Whom returns whom to ask for help.
func (p *Page) Whom() string {
	if p.Support != "" {
		return p.Support
	}
	return p.T("admin")
}

// FactorName returns the name of a type of factor, such as "authenticator app".
func (p *Page) FactorName(t client.FactorType) string {
	if name, ok := p.texts["factor."+string(t.Normalize())]; ok {
		return name
	}
	return string(t)
}

// FactorHint returns what a type of factor is, in a sentence.
func (p *Page) FactorHint(t client.FactorType) string { return p.texts["hint."+string(t.Normalize())] }

// With returns the page beside some of its types, for a template that lists them.
func (p *Page) With(types []client.FactorType) Choosing { return Choosing{Page: p, Types: types} }

// NameOf returns the name of a factor of the user.
func (p *Page) NameOf(c Choice) string {
	if c.Hint == "" {
		return p.FactorName(c.Type)
	}
	return p.FactorName(c.Type) + " " + c.Hint
}

// Chosen returns the name of the factor that is to be removed, or of its type.
func (p *Page) Chosen() string {
	if len(p.Choices) == 1 {
		return p.NameOf(p.Choices[0])
	}
	return p.FactorName(p.Type)
}

// HasCombinations reports whether some of what is missing is needed together.
func (p *Page) HasCombinations() bool {
	return slices.ContainsFunc(p.Missing, func(types []client.FactorType) bool { return len(types) > 1 })
}

// Waiting says how long something has to wait: once in words, which is all that there is
// without JavaScript, and as a pattern of which a script makes a countdown.
type Waiting struct {
	// Text is how long and until when, in words. Pattern is the same with %s for both,
	// and Over what is said then.
	Text, Pattern, Over string
	// Seconds is how long.
	Seconds int
}

// Wait returns how long it is until at, or nil if that has passed. The key is that of the
// text.
func (p *Page) Wait(key string, at time.Time) *Waiting {
	left := time.Until(at)
	if left <= 0 {
		return nil
	}
	w := &Waiting{Pattern: p.T(key), Over: p.T(key + ".over"), Seconds: int((left + time.Second - 1) / time.Second)}
	w.Text = p.T(key, w.Seconds, at.UTC().Format("15:04:05 UTC"))
	return w
}

// Together returns the names of factors that are needed together.
func (p *Page) Together(types []client.FactorType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = p.FactorName(t)
	}
	return strings.Join(names, p.T("join.and"))
}

// Regions returns the calling codes to choose from.
func (p *Page) Regions() []Region { return regionsIn(p.Lang) }

// CallingCode returns the calling code of Region.
func (p *Page) CallingCode() string { return callingCode(p.Region) }
