package otelmfa

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// Rules are the figures of rules in a file. They have the fields of
// github.com/echomfa/echomfa/rules.Stats, which converts to them: this module does not
// need the other one.
type Rules struct {
	// Hash is the short hash of the rules that decide, and Rules is how many they are,
	// with the default.
	Hash  string
	Rules int
	// Read is when they were read.
	Read time.Time
	// Reloads counts changes that were taken, and Failed attempts that were refused.
	Reloads, Failed uint64
	// Stale reports that the rules are older than the file: it has changed and has a
	// mistake, or it cannot be read.
	Stale bool
	// Expired is how many exemptions have ended, and NextExpiry when the next one does,
	// or zero.
	Expired    int
	NextExpiry time.Time
}

// rulesHash is the attribute of the rules that decide, as the log has it.
const rulesHash = attribute.Key("echomfa.rules")

func rulesFigures() []figure[Rules] {
	return []figure[Rules]{
		{"echomfa.rules.info", "", "1, with the hash of the rules that decide.", state, func(*Rules) int64 { return 1 }},
		{"echomfa.rules.active", "{rule}", "Rules that decide, with the default.", state, func(s *Rules) int64 { return int64(s.Rules) }},
		{"echomfa.rules.read.timestamp", "s", "When the rules that decide were read.", moment, func(s *Rules) int64 { return seconds(s.Read) }},
		{"echomfa.rules.reloads", "{reload}", "Changes of the rules file that were taken.", total, func(s *Rules) int64 { return count(s.Reloads) }},
		{"echomfa.rules.rejected", "{reload}", "Attempts to read a changed rules file that has a mistake, or cannot be read.", total, func(s *Rules) int64 { return count(s.Failed) }},
		{"echomfa.rules.stale", "", "Whether the rules that decide are older than the file, which has a mistake or cannot be read.", state, func(s *Rules) int64 { return bit(s.Stale) }},
		{"echomfa.rules.expired", "{exemption}", "Exemptions that have expired: their routes are guarded.", state, func(s *Rules) int64 { return int64(s.Expired) }},
		{"echomfa.rules.expiry.timestamp", "s", "When the next exemption expires.", moment, func(s *Rules) int64 { return seconds(s.NextExpiry) }},
	}
}

// seconds returns a time as Prometheus has it, or 0 for none.
func seconds(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}

// WatchRules shows the figures of rules in a file until [Telemetry.Close]. The function is
// called at each collection:
//
//	err := telemetry.WatchRules(func() otelmfa.Rules { return otelmfa.Rules(set.Stats()) })
func (t *Telemetry) WatchRules(stats func() Rules) error {
	if t.ready() && stats == nil {
		return errors.New("otelmfa: WatchRules: the function is nil")
	}
	return watch(t, "WatchRules", rulesFigures(), func() (s Rules, err error) {
		defer func() {
			// A collection runs where nobody else would recover.
			if v := recover(); v != nil {
				err = fmt.Errorf("otelmfa: WatchRules: the function panicked: %v", v)
			}
		}()
		return stats(), nil
	}, map[string]func(*Rules) attribute.KeyValue{
		"echomfa.rules.info": func(s *Rules) attribute.KeyValue { return rulesHash.String(s.Hash) },
	})
}
