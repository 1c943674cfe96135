package main

// mutant is a change of the engine that breaks a rule. Old is found exactly once in
// the file.
type mutant struct {
	rule           string
	file, old, new string
}

// mutants are what the reference model must notice. When the engine changes, old
// and new follow it; the rule stays.
func mutants() []mutant {
	return []mutant{
		{
			"facts that satisfy count for FreshFor, and no longer",
			"cache.go", "case satisfied && age <= c.freshFor(k):", "case satisfied:",
		},
		{
			"facts that satisfy count for FreshFor, and no less",
			"cache.go", "case satisfied && age <= c.freshFor(k):", "case satisfied && age <= c.rules.DenyFreshFor:",
		},
		{
			"facts that do not satisfy count for DenyFreshFor only",
			"cache.go", "case satisfied || age > c.rules.DenyFreshFor:", "case satisfied || age > c.rules.FreshFor:",
		},
		{
			"a refusal of a known user is not asked for on each request",
			"cache.go", "case satisfied || age > c.rules.DenyFreshFor:", "case satisfied || age >= 0:",
		},
		{
			"stale facts never refuse",
			"decide.go", "return d, e.unavailable(&d, err)\n}\n\n// unavailable", "if known, found := e.cache.entry(k, now); found && !known.partial && !d.Policy.satisfied(known.enrolled) {\n\t\td.use(known.enrolled, Cached, e.cache.age(&known, now))\n\t\treturn d, d.refuse()\n\t}\n\treturn d, e.unavailable(&d, err)\n}\n\n// unavailable",
		},
		{
			"facts count no longer than StaleIfError",
			"decide.go", "case e.cache.current(&known) && age <= e.cfg.Cache.StaleIfError:", "case e.cache.current(&known) && e.cfg.Cache.StaleIfError > 0:",
		},
		{
			"StaleIfError is off by default",
			"decide.go", "age <= e.cfg.Cache.StaleIfError:", "age <= max(e.cfg.Cache.StaleIfError, 2*e.cfg.Cache.FreshFor):",
		},
		{
			"StaleIfError holds while GenAuth is away",
			"result.go", "case resultUnavailable, resultLimited, resultMalformed, resultTurnedAway:\n\t\treturn true", "case resultUnavailable, resultMalformed, resultTurnedAway, resultLimited:\n\t\treturn false",
		},
		{
			"stale facts do not outlive a missed invalidation",
			"decide.go", "case e.cache.current(&known) && age", "case age",
		},
		{
			"nothing stands in when GenAuth calls the question wrong",
			"decide.go", "found && r.stale() && !refuses(err) && d", "found && r != resultRefused && d",
		},
		{
			"a 401 ends what is known",
			"cache.go", "\ts.entries.Remove(f.key)\n\ts.refused.Add(", "\ts.refused.Add(",
		},
		{
			"age counts from when GenAuth was asked",
			"lookup.go", "\tcase err == nil:\n\t\treturn newFacts(list, false), nil", "\tcase err == nil:\n\t\tf.sent = time.Now()\n\t\treturn newFacts(list, false), nil",
		},
		{
			"facts do not outlive the token's exp",
			"cache.go", "return e.expires == 0 || now.Unix() < int64(e.expires)", "return e.expires == 0 || !now.IsZero()",
		},
		{
			"Invalidate forgets what is known",
			"cache.go", "\ts.entries.Remove(k)\n\ts.refused.Remove(k)", "\ts.refused.Remove(k)",
		},
		{
			"Invalidate cuts a lookup loose",
			"cache.go", "\tdelete(s.flights, k)\n}\n\n// invalidateUser", "}\n\n// invalidateUser",
		},
		{
			"Invalidate forgets a refusal",
			"cache.go", "\ts.refused.Remove(k)\n\tdelete(s.flights, k)", "\tdelete(s.flights, k)",
		},
		{
			"Invalidate tells the other instances",
			"enforcer.go", "return s.Delete(ctx, e.tier.tokenKey(token), userKey(e.cfg.Namespace, c.Subject))", "_ = c.Subject\n\t\treturn ctx.Err()",
		},
		{
			"InvalidateUser forgets all tokens of the user",
			"cache.go", "\tfor _, k := range keys {\n\t\ts.forget(k)", "\tfor _, k := range keys[:min(1, len(keys))] {\n\t\ts.forget(k)",
		},
		{
			"InvalidateUser cuts lookups loose",
			"cache.go", "if ofFlight(f) == name {", "if ofFlight(f) == name && f.keep == (name == 0) {",
		},
		{
			"a refusal is remembered for RefusedFor, and no longer",
			"cache.go", "if !ok || elapsed(r.at, now) > c.rules.RefusedFor {", "if !ok {",
		},
		{
			"a refusal is remembered",
			"cache.go", "s.refused.Add(f.key, refusal{at: f.sent, err: remembered(err)})", "_ = err",
		},
		{
			"a partial list never refuses",
			"join.go", "\tcase f.partial:\n\t\treturn e.fail(d, f.key, errPartial)\n", "",
		},
		{
			"a partial list never refuses from the cache either",
			"cache.go", "\tcase e.partial:\n\t\treturn answerFail\n", "",
		},
		{
			"an error is never \"no factors\"",
			"lookup.go", "\treturn facts{}, err\n}\n\n// pauseToRetry", "\tif errors.Is(err, client.ErrMalformed) {\n\t\treturn facts{}, nil\n\t}\n\treturn facts{}, err\n}\n\n// pauseToRetry",
		},
		{
			"an outage refuses no token",
			"result.go", "case errors.Is(err, ErrUnauthenticated) && !undetermined(err):", "case errors.Is(err, ErrUnauthenticated), errors.Is(err, client.ErrRateLimited):",
		},
		{
			"stored facts of before a missed invalidation are not believed",
			"tier.go", ", stored.Asked.UnixNano() < t.trustFrom.Load():", ":",
		},
		{
			"stored facts of long ago are not believed",
			"tier.go", "case now.Sub(stored.Asked) > maxFreshFor, stored", "case stored",
		},
		{
			"stored facts of the future are not believed",
			"tier.go", " || stored.Asked.Sub(now) > maxClockSkew", "",
		},
		{
			"stored facts of another key are not believed",
			"tier.go", "case stored.Key != key || stored.User", "case stored.User",
		},
		{
			"stored facts count their age from when GenAuth was asked",
			"tier.go", "if stored.Asked.After(now) {", "if !stored.Asked.IsZero() {",
		},
		{
			"stored facts do not undo what is known",
			"consult.go", "case f.err == nil && s.newer(f):", "case f.err == nil && f.sent.IsZero():",
		},
		{
			"stored facts do not undo a refusal",
			"cache.go", "ok && r.at.UnixNano() > f.sent.UnixNano()", "ok && r.at.IsZero()",
		},
		{
			"after a missed invalidation all is asked for again",
			"tier.go", "\tt.heard = true\n\tc.epoch.Add(1)", "\tt.heard = true",
		},
		{
			"an invalidation of another instance is heard",
			"tier.go", "func(e *entry) uint64 { return e.shared }", "func(*entry) uint64 { return 0 }",
		},
		{
			"an invalidation of another instance cuts lookups loose",
			"tier.go", "func(f *flight) uint64 { return f.shared.short() }", "func(*flight) uint64 { return 0 }",
		},
		{
			"a lookup answers nobody who came too long after it",
			"join.go", "return elapsed(f.sent, arrived) <= bound &&", "return elapsed(f.sent, arrived) <= max(bound, e.cfg.Lookup.Timeout) &&",
		},
		{
			"a lookup answers nobody who came after a missed invalidation",
			"join.go", "&& f.epoch == uint16(e.cache.epoch.Load()) //nolint:gosec // it may wrap around\n}", "\n}",
		},
		{
			"one token's facts answer no other token",
			"decide.go", "k := e.cache.key(q.token)", "k := e.cache.key(q.token[:4])",
		},
		{
			"what was invalidated meanwhile is not kept",
			"cache.go", "\t\treturn false // invalidated meanwhile: these may be the facts of before\n", "",
		},
		{
			"requests share a lookup",
			"join.go", "under != nil && now.Before", "under != nil && under.consult && now.Before",
		},
		{
			"what is known is not asked for again",
			"join.go", "if done, err := e.settleBy(d, f.key, &known, now); done {", "if done, err := e.settleBy(d, f.key, &known, now); done && err != nil {",
		},
		{
			"after an outage GenAuth is asked again",
			"lookup.go", "breakerPause    = time.Second", "breakerPause    = time.Hour",
		},
		{
			"a failure or two do not stop the lookups of all",
			"lookup.go", "return c.ConsecutiveFailures >= breakerFailures }", "return c.TotalFailures > 0 }",
		},
		{
			"no request waits longer than Timeout",
			"join.go", "timer := time.NewTimer(patience)", "timer := time.NewTimer(2 * patience)",
		},
		{
			"a panic opens nothing",
			"lookup.go", "*err = &panicError{where: \"look-up\", value: said}", "*err = nil",
		},
	}
}
