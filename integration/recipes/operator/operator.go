// Package operator is an endpoint for those who run the app: the figures, the switches,
// and forgetting a user. It is a recipe: copy it.
package operator

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa"
)

// Operator is the endpoint. Give it a listener of its own, which the internet does not
// reach, and each operator a key. Without Keys it refuses everybody.
type Operator struct {
	// MFA is the app's Enforcer.
	MFA *echomfa.Enforcer
	// Keys are the operators' keys, at least 32 random characters each, and whose they are.
	Keys map[string]string
	// Logger is told who did what.
	Logger *slog.Logger

	reportOnly atomic.Bool
}

// Mode is for Requirement.Mode in a RequireFunc: it takes effect on the next request.
func (o *Operator) Mode() echomfa.Mode {
	if o.reportOnly.Load() {
		return echomfa.ReportOnly
	}
	return echomfa.Enforce
}

// Handler is the endpoint.
func (o *Operator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"report_only": o.reportOnly.Load(), "stats": o.MFA.Stats()})
	})
	mux.HandleFunc("POST /mode/enforce", func(http.ResponseWriter, *http.Request) { o.reportOnly.Store(false) })
	mux.HandleFunc("POST /mode/report-only", func(http.ResponseWriter, *http.Request) { o.reportOnly.Store(true) })
	mux.HandleFunc("POST /unknown-users/refuse", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, o.MFA.SetOnUnavailable(echomfa.Refuse, 0))
	})
	mux.HandleFunc("POST /unknown-users/allow", func(w http.ResponseWriter, r *http.Request) {
		during, err := time.ParseDuration(r.FormValue("for"))
		if err == nil {
			err = o.MFA.SetOnUnavailable(echomfa.InsecureAllow, during)
		}
		answer(w, err)
	})
	mux.HandleFunc("POST /users/{id}/forget", func(w http.ResponseWriter, r *http.Request) {
		answer(w, o.MFA.InvalidateUser(r.Context(), r.PathValue("id"))) // the sub of the token
	})
	return o.protected(mux)
}

// answer says what an error says: it may be that some instances have not been told.
func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

// protected lets only operators through, and logs what they do. A key is in a header, which
// no other site's page can send.
func (o *Operator) protected(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, err := o.who(r)
		if err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="operators"`)
			http.Error(w, "operators only", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet {
			o.Logger.WarnContext(r.Context(), "operator", "who", name, "did", r.URL.Path, "for", r.FormValue("for"))
		}
		next.ServeHTTP(w, r)
	})
}

// who returns the operator of a request. All keys are compared, in a time that does not
// depend on how much of one is right.
func (o *Operator) who(r *http.Request) (string, error) {
	key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	given, found := sha256.Sum256([]byte(key)), ""
	for name, want := range o.Keys {
		sum := sha256.Sum256([]byte(want))
		if subtle.ConstantTimeCompare(given[:], sum[:]) == 1 && len(want) >= 32 {
			found = name
		}
	}
	if !bearer || found == "" {
		return "", errors.New("no operator")
	}
	return found, nil
}
