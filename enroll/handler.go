package enroll

import (
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	pathpkg "path"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/accept"
	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/urlpath"
	"golang.org/x/time/rate"
)

// Handler answers the requests for the enrollment pages. Make one with [New] and mount it at
// [Config.BasePath] and below it. It may be used by several goroutines at once.
// The zero Handler answers 500.
//
// It prints as "[redacted]": it holds keys.
type Handler struct {
	secret

	cfg           Config
	seal          *sealer
	csrf          *http.CrossOriginProtection
	users         *memory[named]
	offers        *memory[offer]
	codes         *limit // that a user tries
	messages      *limit // that a user has sent
	shown         *limit // pages
	calls         *rate.Limiter
	told          *lastTold
	said          *memory[string] // references of lines about what clients can cause
	narrow        sync.Once
	languages     languages
	templates     *template.Template
	assets        map[string]asset
	style, script string
	policy        string // Content-Security-Policy
}

// New returns the handler, or all that is wrong with the configuration, each
// mistake naming its field. It makes no network calls and starts no goroutine.
func New(cfg Config) (*Handler, error) {
	cfg, err := cfg.prepared()
	errs := []error{err}
	h := &Handler{cfg: cfg, csrf: http.NewCrossOriginProtection(), users: newMemory[named](), offers: newMemory[offer](), said: newMemory[string](), told: &lastTold{last: newLRU[string]()}}
	h.codes, h.messages, h.shown = newLimit(codeEvery, codesAtOnce), newLimit(messageEvery, messagesAtOnce), newLimit(pageEvery, pagesAtOnce)
	h.languages, err = newLanguages(cfg.Messages)
	errs = append(errs, err)
	h.templates, err = newTemplates(cfg.Templates)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if h.seal, err = newSealer(cfg.Client.BaseURL()+" "+cfg.Client.AppID(), cfg.StateKeys); err != nil {
		return nil, err
	}
	if cfg.Enforcer.EnrollLocation("") == "" {
		cfg.Logger.Warn("no refusal leads to the enrollment pages: the Enforcer has no EnrollURL",
			slog.String("event", "enroll_unreachable"), slog.String("path", cfg.BasePath))
	}
	h.warnOfHosted()
	// A struct of the app may hold the handler in an unexported field, on which fmt
	// calls no method: with %s it prints what is one pointer away.
	h.cfg.StateKeys = nil
	if origin := cfg.Enforcer.Origin(); origin != "" {
		// A proxy may hand on another Host than the one that browsers ask for.
		if err := h.csrf.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("enroll: Enforcer: ReturnTo.BaseURL: %w", err)
		}
	}
	h.calls = rate.NewLimiter(rate.Limit(cfg.Enforcer.MaxPerSecond()/2/callsOfAPage), pagesAtOnce)
	h.assets, h.style, h.script = newAssets(cfg.Brand)
	h.policy = contentPolicy(cfg.Enforcer.LoginLocation(""), cfg.Client.BaseURL())
	return h, nil
}

// step is what a path below BasePath does with a form. All of them change something or
// begin what will, so a link, which anybody can make, starts none of them. Each answers
// with a redirect to a page: see [shown].
type step func(*visit)

func stepAt(path string) step {
	switch path {
	case "/begin":
		return (*visit).begin
	case "/send":
		return (*visit).send
	case "/confirm":
		return (*visit).confirm
	case "/recovery":
		return (*visit).recovery
	case "/done":
		return (*visit).done
	case "/check":
		return (*visit).check
	case "/remove":
		return (*visit).remove
	}
	return nil
}

// pageAt returns what shows the page at a path, which only reads.
func pageAt(path string) step {
	switch path {
	case "":
		return (*visit).start
	case "/signin", signedInPath:
		return (*visit).askToSignIn
	}
	if stepPath.MatchString(path) {
		return (*visit).step
	}
	return nil
}

// ServeHTTP answers with the page, step or file that a request asks for.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.seal == nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	path, base, ok := h.locate(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	if file, ok := h.assets[path]; ok && reading {
		file.serve(w, r)
		return
	}
	h.setHeaders(w.Header())
	v := &visit{h: h, w: w, r: r, base: base, path: path, lang: defaultLanguage}
	defer v.recover()
	if reading {
		v.back = v.returnTo(r.URL.Query().Get(h.cfg.Enforcer.ReturnToParam()))
	}
	v.lang = h.languages.choose(r, h.chosenLanguage(r))
	v.route(reading)
}

func (v *visit) route(reading bool) {
	step, page := stepAt(v.path), pageAt(v.path)
	switch {
	case v.path == continuePath && reading:
		v.continueNow()
	case page != nil && reading:
		v.serve(page)
	case step != nil && v.r.Method == http.MethodPost:
		v.serve(step)
	case step != nil && reading: // an address typed, or kept
		v.redirect(v.startPath())
	case step != nil:
		v.w.Header().Set("Allow", "POST")
		v.message(http.StatusMethodNotAllowed, "error.method")
	case page != nil || v.path == continuePath:
		v.w.Header().Set("Allow", "GET, HEAD")
		v.message(http.StatusMethodNotAllowed, "error.method")
	default:
		v.message(http.StatusNotFound, "error.not_found")
	}
}

// locate returns the path of a request below the pages, without a slash at its end, and
// the path that they are at: BasePath, but for [http.StripPrefix] around them. BasePath may then have what
// that takes off, or not.
func (h *Handler) locate(r *http.Request) (path, base string, ok bool) {
	whole, stripped := urlpath.Original(r)
	if path, ok = below(r.URL.Path, h.cfg.BasePath); ok {
		if h.cfg.Enforcer.Address("", "") == "" { // no proxy takes off more
			base = stripped
		}
		return strings.TrimSuffix(path, "/"), base + h.cfg.BasePath, true
	}
	if whole == nil {
		return "", "", false
	}
	path, ok = below(whole.Path, h.cfg.BasePath)
	return strings.TrimSuffix(path, "/"), h.cfg.BasePath, ok
}

func below(path, base string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, base)
	return rest, ok && (rest == "" || rest[0] == '/')
}

func (h *Handler) chosenLanguage(r *http.Request) string {
	if h.cfg.Language == nil {
		return ""
	}
	return h.cfg.Language(r)
}

// recover makes a panic a page. Nothing that the page shows depends on what was
// being done.
func (v *visit) recover() {
	p := recover()
	if p == nil {
		return
	}
	if aborted, ok := p.(error); ok && errors.Is(aborted, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler) // without what it may be wrapped in: net/http logs that
	}
	secrets := v.secrets()
	v.h.cfg.Logger.LogAttrs(v.r.Context(), slog.LevelError, "enrollment page panicked",
		slog.String("event", "enroll_page_panicked"), v.reference(),
		slog.String("panic", secrets.Hide(fmt.Sprint(p))), slog.String("stack", secrets.Hide(string(debug.Stack()))))
	v.token = "" // so that the page asks no function of the app
	v.message(http.StatusInternalServerError, "error.internal")
}

// serve does what every page needs first: the form, the user, and what is asked
// of the user.
func (v *visit) serve(do step) {
	if err := v.h.csrf.Check(v.r); err != nil {
		if v.isDue("cross-site") {
			v.h.cfg.Logger.LogAttrs(v.r.Context(), slog.LevelWarn, "enrollment form may come from another site",
				slog.String("event", "enroll_form_of_other_site"),
				slog.String("path", v.loggedPath()), v.reference(), slog.String("error", err.Error()))
		}
		v.message(http.StatusForbidden, "error.cross_site")
		return
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxFormBytes)
	if err := v.r.ParseForm(); err != nil {
		v.message(http.StatusBadRequest, "error.form")
		return
	}
	v.form = v.r.URL.Query()
	if v.r.Method == http.MethodPost {
		v.form = v.r.PostForm
		v.back = v.returnTo(v.form.Get(v.h.cfg.Enforcer.ReturnToParam()))
	}
	v.fromList = v.form.Get("from") == "list"
	if v.identify() && (stepPath.MatchString(v.path) || v.mayAsk()) {
		do(v)
	}
}

// mayAsk reports whether GenAuth may be asked for the user, and answers if not. The rate of
// its user pool is for all users of the app, so all pages together have a limit, too.
func (v *visit) mayAsk() bool {
	switch wait := v.h.shown.wait(v.name()); {
	case wait > 0:
		v.limited("pages", v.name(), wait)
	case v.h.calls.Allow():
		return true
	default:
		v.limited("all pages", "", time.Second)
	}
	v.w.Header().Set("Retry-After", "1")
	v.show(&Page{Name: "message", Status: http.StatusTooManyRequests, Error: v.text("error.too_fast"), Retry: v.stepNow()})
	return false
}

// returnTo checks a return-to. One that leads to these pages is left out.
func (v *visit) returnTo(value string) string {
	back := v.h.cfg.Enforcer.ReturnTo(value)
	escaped, _, _ := strings.Cut(v.inApp(back), "?")
	decoded, err := url.PathUnescape(escaped) // as a router may see it
	if err != nil {
		return ""
	}
	for _, path := range []string{decoded, pathpkg.Clean(decoded)} {
		if _, here := below(path, v.base); here {
			return ""
		}
	}
	return back
}

// inApp returns an address of this app as the app registers it: without the path of
// the enforcer's BaseURL.
func (v *visit) inApp(address string) string {
	return strings.TrimPrefix(address, v.h.cfg.Enforcer.Address("", ""))
}

// identify finds out who is here and what they have enrolled, and reports
// whether the page may go on. It asks through the enforcer, within its budgets
// and with its memory of refused tokens: a token that the enforcer does not take
// costs no other call.
func (v *visit) identify() bool {
	cfg, ctx := &v.h.cfg, v.r.Context()
	var err error
	if v.token, err = cfg.Enforcer.Token(v.r); err != nil {
		v.refuse(err)
		return false
	}
	v.wanted = cfg.Policy
	if cfg.PolicyFunc != nil {
		if v.wanted, err = cfg.PolicyFunc(v.r, v.inApp(v.back)); err == nil {
			err = v.wanted.Err()
		}
		if errors.Is(err, echomfa.ErrUnauthenticated) {
			v.showSignIn()
			return false
		}
		if err != nil {
			v.log("enroll_policy_failed", "enrollment policy failed", err)
			v.message(http.StatusInternalServerError, "error.internal")
			return false
		}
	}
	// Asking is not refusing: no line of the log for each page. A list that left something
	// out still shows that nothing is missing.
	enrolled, err := cfg.Enforcer.EnrolledFactors(ctx, v.token)
	v.judge(enrolled)
	if err != nil && (len(enrolled.Types()) == 0 || v.decision.Outcome != echomfa.Allowed) {
		v.refuse(err)
		return false
	}
	// GenAuth has accepted the token, so the enforcer allows delegated ones.
	if c, err := claims.Parse(v.token); err != nil || c.Delegated {
		v.message(http.StatusForbidden, "error.delegated")
		return false
	}
	return true
}

// judge decides by what the user has.
func (v *visit) judge(enrolled echomfa.FactorSet) {
	result := v.wanted.Evaluate(enrolled)
	v.decision.Enrolled, v.decision.Missing, v.decision.Outcome = enrolled, result.Missing, echomfa.NotEnrolled
	if result.Satisfied {
		v.decision.Outcome = echomfa.Allowed
	}
}

// refuse answers a user who is not let in. A form that comes when the session has ended
// leads back to the first page, over the sign-in page, with its return-to.
func (v *visit) refuse(err error) {
	back := v.stepNow() // which goes on where it was
	if back == "" {
		back = v.startPath()
	}
	to := v.h.cfg.Enforcer.LoginLocation(back)
	if to != "" && v.r.Method == http.MethodPost && errors.Is(err, echomfa.ErrUnauthenticated) && accept.KindOf(v.r) == accept.Browser {
		v.redirect(to)
		return
	}
	if lookup := (*echomfa.LookupError)(nil); errors.As(err, &lookup) {
		if accept.KindOf(v.r) == accept.Browser { // in the language and the looks of the other pages
			v.fail(err)
			return
		}
		v.log("enroll_call_failed", "enrollment call failed", err)
	}
	v.h.cfg.Enforcer.WriteRefusal(v.w, v.r, err)
}
