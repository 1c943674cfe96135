package enroll

import (
	"time"

	"golang.org/x/time/rate"
)

// Backdate returns the state of a form as if it had been made so much earlier,
// or "" if it does not open.
func (h *Handler) Backdate(sealed, accessToken string, by time.Duration) string {
	st, err := h.seal.open(sealed, accessToken, time.Now())
	if err != nil {
		return ""
	}
	st.Begun = st.Begun.Add(-by)
	return h.seal.seal(st, accessToken)
}

// ProvenFor returns how long the state of a form is good.
func (h *Handler) ProvenFor(sealed, accessToken string) time.Duration {
	st, err := h.seal.open(sealed, accessToken, time.Now())
	if err != nil {
		return 0
	}
	return time.Until(st.ProvenUntil)
}

// Expire returns the state of a form as if it was good no more.
func (h *Handler) Expire(sealed, accessToken string) string {
	st, err := h.seal.open(sealed, accessToken, time.Now())
	if err != nil {
		return ""
	}
	st.ProvenUntil = time.Now().Add(-time.Second)
	return h.seal.seal(st, accessToken)
}

// Texts are those of a language.
func (h *Handler) Texts(tag string) map[string]string { return h.languages[tag] }

// Unlimited lets a user have as many pages as a test asks for.
func (h *Handler) Unlimited() {
	h.shown, h.calls = newLimit(time.Nanosecond, 1), rate.NewLimiter(rate.Inf, 1)
}

// TurnAway has other users ask for all the pages that there may be.
func (h *Handler) TurnAway() { h.calls = rate.NewLimiter(0, 0) }

// StopRefill leaves all users together the pages that they may have at once, however long
// a test takes, and returns how many they would get each second.
func (h *Handler) StopRefill() float64 {
	was := float64(h.calls.Limit())
	h.calls.SetLimit(0)
	return was
}
