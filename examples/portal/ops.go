package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/rules"
)

//go:embed ops.html
var opsHTML string

// The operator sees so many of the latest decisions and log lines.
const (
	kept      = 50
	keptLines = 500
)

// operations is what an operator sees and does: the latest decisions and log lines, the
// figures, the switches, and forgetting a user. Its page is on a listener of its own,
// which only this machine can reach: who reaches it needs no sign-in. It is where
// docs/runbook.md can be followed.
type operations struct {
	mfa *echomfa.Enforcer

	rules    *rules.Set
	file     string // of the rules
	coverage func() (rules.Coverage, error)

	mu     sync.Mutex
	recent []decided
	lines  []string
}

// Write keeps a line of the log.
func (o *operations) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.lines) == keptLines {
		o.lines = slices.Delete(o.lines, 0, 1)
	}
	o.lines = append(o.lines, strings.TrimSpace(string(line)))
	return len(line), nil
}

// log returns the lines that hold a text, the latest first. The text is a reference, any
// other value, or the id of a user, whose lines have what is made of it.
func (o *operations) log(text string) []string {
	userRef := o.mfa.UserRef(text)
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []string
	for _, line := range slices.Backward(o.lines) {
		if strings.Contains(line, text) || text != "" && strings.Contains(line, "user_ref="+userRef) {
			list = append(list, line)
		}
	}
	return list
}

// decided is a decision with what it was about.
type decided struct {
	echomfa.Decision

	At            time.Time
	Route, Method string
}

// ObserveDecision keeps the decision, if the route asks for something.
func (o *operations) ObserveDecision(_ context.Context, d echomfa.Decision, route, method string) {
	if d.Outcome == echomfa.Exempted {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.recent) == kept {
		o.recent = slices.Delete(o.recent, 0, 1)
	}
	o.recent = append(o.recent, decided{Decision: d, At: time.Now(), Route: route, Method: method})
}

// reportOnly reports whether the rules let everybody into the admin page.
func (o *operations) reportOnly() bool {
	return o.rules.File().Match(http.MethodGet, "/admin").Weakest(time.Now()).Mode() == echomfa.ReportOnly
}

// setMode changes the mode in the rules' file, as an operator does by hand.
func (o *operations) setMode(mode string) error {
	if err := writeMode(o.file, mode); err != nil {
		return err
	}
	return o.rules.Reload()
}

// latest returns the decisions, the latest first.
func (o *operations) latest() []decided {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := slices.Clone(o.recent)
	slices.Reverse(list)
	return list
}

// figure is one of the Stats.
type figure struct {
	Name  string
	Value any
}

// figures lists the Stats by name, as docs/runbook.md explains them.
func figures(prefix string, v reflect.Value) []figure {
	var list []figure
	for i := range v.NumField() {
		name := prefix + v.Type().Field(i).Name
		if v.Field(i).Kind() == reflect.Struct {
			list = append(list, figures(name+".", v.Field(i))...)
			continue
		}
		list = append(list, figure{name, v.Field(i).Interface()})
	}
	return list
}

// handler has the page and its two forms.
func (o *operations) handler() http.Handler {
	page := template.Must(template.New("").Parse(opsHTML))
	mux := http.NewServeMux()
	show := func(w http.ResponseWriter, status int, message, find string) {
		var b bytes.Buffer
		stats := o.mfa.Stats()
		coverage, _ := o.coverage() // checked when the portal started
		err := page.Execute(&b, map[string]any{
			"Message": message, "ReportOnly": o.reportOnly(), "RulesFile": o.file, "Coverage": coverage.Routes, "Unseen": coverage.Unseen, "Rules": o.rules.Stats(), "InsecureAllow": stats.InsecureAllow,
			"Find": find, "Log": o.log(find), "Decisions": o.latest(), "Figures": figures("", reflect.ValueOf(stats)),
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(b.Bytes())
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		show(w, http.StatusOK, "", strings.TrimSpace(r.FormValue("find")))
	})
	mux.HandleFunc("POST /mode", func(w http.ResponseWriter, r *http.Request) {
		mode := r.PostFormValue("mode")
		if mode != "enforce" && mode != "report-only" {
			show(w, http.StatusBadRequest, "The mode is enforce or report-only.", "")
			return
		}
		if err := o.setMode(mode); err != nil {
			show(w, http.StatusBadRequest, fmt.Sprintf("Nothing has changed: %v", err), "")
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /unknown-users", func(w http.ResponseWriter, r *http.Request) {
		during, err := time.ParseDuration(r.PostFormValue("for"))
		if err == nil && during > 0 {
			err = o.mfa.SetOnUnavailable(echomfa.InsecureAllow, during)
		} else if err == nil {
			err = o.mfa.SetOnUnavailable(echomfa.Refuse, 0)
		}
		if err != nil {
			show(w, http.StatusBadRequest, fmt.Sprintf("Nothing has changed: %v", err), "")
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /invalidate", func(w http.ResponseWriter, r *http.Request) {
		user := r.PostFormValue("user")
		switch err := o.mfa.InvalidateUser(r.Context(), user); {
		case user == "":
			show(w, http.StatusBadRequest, "Enter the id, as the sub of the access token has it.", "")
		case errors.Is(err, echomfa.ErrUserNotIndexed):
			show(w, http.StatusOK, "All instances have been told. Tokens that name no user are in use, too: if this user has one, what is known of it lasts for up to FreshFor.", "")
		case err != nil:
			show(w, http.StatusServiceUnavailable, fmt.Sprintf("Forgotten here, but not everywhere: %v", err), "")
		default:
			show(w, http.StatusOK, fmt.Sprintf("All instances have been told: whatever they knew of the user whose id is %q is forgotten. The id is the sub of the access token, not the name.", user), "")
		}
	})
	// The form of a page elsewhere must do nothing, whatever port of this machine it
	// comes from.
	return onlyHere(http.NewCrossOriginProtection().Handler(mux))
}

// onlyHere refuses what was sent to another name than this machine's: a site whose name
// leads here for a moment could read the page by its own scripts.
func onlyHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil || !isLoopback(net.JoinHostPort(host, "0")) {
			http.Error(w, "Open this page by the address that the portal has printed.", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
