package rules

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// maxLogged is how many changes or mistakes a log line has.
const maxLogged = 20

// log says which rules decide now, and what they change.
func (changed changedFile) log(ctx context.Context, s *Set) {
	if changed.before == nil {
		return
	}
	before, after := changed.before, changed.after
	level := slog.LevelInfo
	lines := make([]string, 0, maxLogged)
	counts := make(map[Relation]int)
	newDiffer(before, after, time.Now()).spots(func(c *change) {
		counts[c.relation]++
		if len(lines) < maxLogged {
			lines = append(lines, c.public().String())
		}
	})
	if counts[Looser]+counts[Incomparable] > 0 {
		level = slog.LevelWarn
	}
	s.cfg.Logger.LogAttrs(ctx, level, "mfa rules changed",
		slog.String("event", "rules_changed"), slog.String("file", after.name), slog.String("rules", after.ShortHash()), slog.String("rules_before", before.ShortHash()),
		slog.Int("stricter", counts[Stricter]), slog.Int("looser", counts[Looser]), slog.Int("incomparable", counts[Incomparable]), slog.Int("equal", counts[Equal]),
		slog.Any("changes", lines))
	s.warnUnmet(ctx, after)
}

// logRefused says that a changed file is not taken, once for each reason.
func (s *Set) logRefused(ctx context.Context, err error) {
	if s.refused == err.Error() {
		return
	}
	s.refused = err.Error()
	var mistakes Mistakes
	lines := []string{s.refused}
	if errors.As(err, &mistakes) {
		lines = lines[:0]
		for _, m := range mistakes[:min(len(mistakes), maxLogged)] {
			lines = append(lines, m.String())
		}
	}
	s.cfg.Logger.LogAttrs(ctx, slog.LevelError, "mfa rules: the changed file is not used: the rules read last stay",
		slog.String("event", "rules_refused"), slog.String("file", s.path), slog.String("rules", s.File().ShortHash()), slog.Any("mistakes", lines))
}

// logRestored says that the file has the rules that decide again.
func (s *Set) logRestored(ctx context.Context) {
	s.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "mfa rules: the file is as it was when it was read last",
		slog.String("event", "rules_restored"), slog.String("file", s.path), slog.String("rules", s.File().ShortHash()))
}

// warnExpired says of each exemption once that it has ended. It is called with the lock
// held.
func (s *Set) warnExpired(ctx context.Context) {
	now := time.Now()
	for _, r := range s.File().rules {
		if !r.Expired(now) || s.expired[r] {
			continue
		}
		s.expired[r] = true
		routes := append(r.Under(), slices.Collect(paths(r))...)
		s.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "mfa rules: an exemption has expired: its routes are guarded",
			slog.String("event", "rules_exemption_expired"), slog.String("rule", r.name), slog.String("owner", r.owner),
			slog.Time("expires", r.expires), slog.Any("routes", routes[:min(len(routes), maxLogged)]))
	}
}

func paths(r *Rule) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, m := range r.routes {
			if !yield(m.Path) {
				return
			}
		}
	}
}
