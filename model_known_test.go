package echomfa_test

import (
	"time"

	"github.com/echomfa/echomfa"
)

// modelMended are histories that have shown a deviation once. TestModel plays them
// before others.
var modelMended = [...]struct { //nolint:gochecknoglobals // a table
	what  string
	moves []move
}{
	{"X8: stale facts of before a missed invalidation", []move{
		{what: "enroll", choice: otpEnrolled},
		{at: 1 * time.Millisecond, what: "request", choice: forOTP},
		{at: 1 * time.Second, what: "GenAuth", fault: "is away"},
		{at: 2 * time.Second, what: "heard again"},
		{at: 12 * time.Second, what: "request", choice: forOTP},
	}},
	{"X10: stored facts of the year 1500", []move{
		{what: "enroll", choice: otpEnrolled},
		{at: 1 * time.Millisecond, what: "request", choice: forOTP},
		{at: 1 * time.Second, what: "enroll", choice: noneEnrolled},
		{at: 2 * time.Second, what: "Store", node: 1, fault: "is long ago"},
		{at: 3 * time.Second, what: "request", node: 1, choice: forOTP},
	}},
	{"X11: a late Set of an older answer", []move{
		{what: "GenAuth", delay: 1500 * time.Millisecond},
		{at: 1 * time.Millisecond, what: "enroll", choice: otpEnrolled},
		{at: 2 * time.Millisecond, what: "request"},
		{at: 3 * time.Millisecond, what: "enroll", choice: bothEnrolled},
		{at: 4 * time.Millisecond, what: "GenAuth"},
		{at: 5 * time.Millisecond, what: "request", node: 1},
		{at: 3 * time.Second, what: "request", node: 2},
	}},
	{"X12: older stored facts, while Invalidate waits for the Store", []move{
		{what: "enroll", choice: otpEnrolled},
		{at: 1 * time.Millisecond, what: "request", choice: forOTP},
		{at: 2 * time.Millisecond, what: "Store", fault: "is full", delay: 90 * time.Millisecond},
		{at: 3 * time.Millisecond, what: "enroll", choice: noneEnrolled},
		{at: 3 * time.Second, what: "request", choice: forSMS},
		{at: 4 * time.Second, what: "Invalidate"},
		{at: 4*time.Second + time.Millisecond, what: "Store", fault: "is full"},
		{at: 4*time.Second + 2*time.Millisecond, what: "request", choice: forOTP},
	}},
	{"X13: a refusal, after InvalidateUser", []move{
		{what: "revoke"},
		{at: 1 * time.Millisecond, what: "request"},
		{at: 2 * time.Millisecond, what: "restore"},
		{at: 3 * time.Millisecond, what: "InvalidateUser"},
		{at: 4 * time.Millisecond, what: "request"},
	}},
	{"X23: facts that age while a request waits", []move{
		{what: "GenAuth", delay: 1500 * time.Millisecond},
		{at: 1 * time.Millisecond, what: "request"},
		{at: 900 * time.Millisecond, what: "request"},
	}},
	{"older stored facts, where the Store could not be told", []move{
		{what: "enroll", choice: otpEnrolled},
		{at: 1 * time.Millisecond, what: "request", choice: forOTP},
		{at: 2 * time.Millisecond, what: "Store", fault: "is full"},
		{at: 3 * time.Millisecond, what: "enroll", choice: noneEnrolled},
		{at: 2 * time.Second, what: "request", choice: forSMS},
		{at: 4 * time.Second, what: "request", choice: forOTP},
	}},
	{"older stored facts, after a refusal", []move{
		{what: "enroll", choice: otpEnrolled},
		{at: 1 * time.Millisecond, what: "Store", node: 1, fault: "loses calls"},
		{at: 2 * time.Millisecond, what: "request", choice: forOTP},
		{at: 3 * time.Millisecond, what: "revoke"},
		{at: 4 * time.Millisecond, what: "request", node: 1, choice: forOTP},
		{at: 5 * time.Millisecond, what: "Store", node: 1},
		{at: 6 * time.Second, what: "request", node: 1, choice: forOTP},
	}},
	{"an invalidation elsewhere, after the token's exp", []move{
		{what: "enroll", choice: otpEnrolled, token: bobsToken},
		{at: 13 * time.Second, what: "GenAuth", delay: time.Second},
		{at: 14 * time.Second, what: "request", token: bobsToken, choice: forOTP},
		{at: 14*time.Second + time.Millisecond, what: "enroll", choice: noneEnrolled, token: bobsToken},
		{at: 14*time.Second + 2*time.Millisecond, what: "Invalidate", node: 1, token: bobsToken},
		{at: 14*time.Second + 3*time.Millisecond, what: "request", token: bobsToken, choice: forOTP},
	}},
}

// What choice means in a move, by modelTypes and modelPolicies; and which token ends.
const (
	noneEnrolled, otpEnrolled, bothEnrolled = 0, 1, 3
	forOTP, forSMS                          = 0, 1
	bobsToken                               = 2
)

// knownSetting is the setting of these histories. Bob's token lives 12 s.
func knownSetting(nodes int, names []*modelNames) setting {
	return setting{
		nodes: nodes, shared: true, timeout: 2 * time.Second, names: names[1],
		rules: echomfa.CacheConfig{
			Size: 64, RefusedSize: 64,
			FreshFor: 10 * time.Second, DenyFreshFor: time.Second, StaleIfError: 20 * time.Second, RefusedFor: 5 * time.Second,
		},
	}
}
