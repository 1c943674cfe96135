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
			"cache.go", "&& allows && r.age <= c.freshFor(k):", "&& allows:",
		},
		{
			"facts that satisfy count for FreshFor, and no less",
			"cache.go", "&& allows && r.age <= c.freshFor(k):", "&& allows && r.age <= c.rules.DenyFreshFor:",
		},
		{
			"facts that do not satisfy count for DenyFreshFor only",
			"cache.go", "r.age <= c.rules.DenyFreshFor:", "r.age <= c.rules.FreshFor:",
		},
		{
			"a refusal of a known user is not asked for on each request",
			"cache.go", "&& !allows && r.age <= c.rules.DenyFreshFor:", "&& !allows && r.age < 0:",
		},
		{
			"stale facts never refuse",
			"cache.go", "return r, r.judge(p) == satisfied && (r", "return r, !r.partial && (r",
		},
		{
			"facts count no longer than StaleIfError",
			"cache.go", "|| heard && r.age <= c.rules.StaleIfError)", "|| heard && c.rules.StaleIfError > 0)",
		},
		{
			"StaleIfError is off by default",
			"cache.go", "|| heard && r.age <= c.rules.StaleIfError)", "|| heard && r.age <= max(c.rules.StaleIfError, 2*c.rules.FreshFor))",
		},
		{
			"StaleIfError holds while GenAuth is away",
			"errors.go", "case failureUnavailable, failureLimited, failureMalformed, failureTurnedAway:\n\t\treturn true", "case failureUnavailable, failureMalformed, failureTurnedAway, failureLimited:\n\t\treturn false",
		},
		{
			"stale facts do not outlive a missed invalidation",
			"cache.go", "|| !c.usable(&e, now) || e.epoch != c.epochNow() {", "|| !c.usable(&e, now) {",
		},
		{
			"nothing stands in when GenAuth calls the question wrong",
			"decide.go", "case err != nil && (!failureOf(err).stale() || refuses(err)):", "case err != nil && (failureOf(err) == failureRefused || failureOf(err) == failurePanic):",
		},
		{
			"a 401 ends what is known",
			"cache.go", "\ts.entries.Remove(f.q.key)\n\ts.refused.Add(", "\ts.refused.Add(",
		},
		{
			"age counts from when GenAuth was asked",
			"source_genauth.go", "\tcase err == nil:\n\t\treturn newFacts(list, false), nil", "\tcase err == nil:\n\t\tg.asks(f)\n\t\treturn newFacts(list, false), nil",
		},
		{
			"facts do not outlive the token's exp",
			"cache.go", "return (e.expires == 0 || now.wall", "return (e.expires == 0 || now.wall > 0 || now.wall",
		},
		{
			"facts that are renewed do not outlive the token's exp",
			"cache.go", "e.age(now), e.graves(), e.expires", "e.age(now), e.graves(), 0",
		},
		{
			"Invalidate forgets what is known",
			"tombstone.go", "return sent.monotonic < latest", "return stored && sent.monotonic < latest",
		},
		{
			"Invalidate cuts a lookup loose",
			"flight.go", "|| !l.cache.buried(f.q.graves, f.sent, f.stored))", "|| f.q != nil)",
		},
		{
			"Invalidate forgets a refusal",
			"cache.go", "r.at.age(now) <= c.rules.RefusedFor && !c.buried(r.graves, r.at, false) {", "r.at.age(now) <= c.rules.RefusedFor {",
		},
		{
			"Invalidate tells the other instances",
			"source_store.go", "return struct{}{}, t.store.Delete(ctx, f.token, f.user)", "return struct{}{}, ctx.Err()",
		},
		{
			"InvalidateUser forgets all tokens of the user",
			"tombstone.go", "latest := max(t.slots[g.token].Load(), t.slots[g.user].Load())", "latest := t.slots[g.token].Load()",
		},
		{
			"Invalidate forgets the token",
			"tombstone.go", "latest := max(t.slots[g.token].Load(), t.slots[g.user].Load())", "latest := t.slots[g.user].Load()",
		},
		{
			"a refusal is remembered for RefusedFor, and no longer",
			"cache.go", "r.at.age(now) <= c.rules.RefusedFor &&", "r.at.age(now) >= 0 &&",
		},
		{
			"a refusal does not outlive a missed invalidation",
			"cache.go", "r.err != nil && r.epoch == c.epochNow() && r.at", "r.err != nil && r.at",
		},
		{
			"a refusal is remembered",
			"cache.go", "s.refused.Add(f.q.key, refusal{at: f.sent, graves: f.q.graves, epoch: f.epoch, err: remembered(err)})", "_ = err",
		},
		{
			"a partial list never refuses",
			"decide.go", "case r.partial:\n\t\treturn undecided", "case r.partial:\n\t\treturn missing",
		},
		{
			"an error is never \"no factors\"",
			"source_genauth.go", "\treturn facts{}, err\n}\n\n// pauseToRetry", "\tif errors.Is(err, client.ErrMalformed) {\n\t\treturn facts{}, nil\n\t}\n\treturn facts{}, err\n}\n\n// pauseToRetry",
		},
		{
			"an outage rejects a token",
			"errors.go", "case errors.Is(err, ErrUnauthenticated) && !undetermined(err):", "case errors.Is(err, ErrUnauthenticated), errors.Is(err, client.ErrRateLimited):",
		},
		{
			"stored facts of before a loss are not believed",
			"source_store.go", "case !got.found, !t.ear.Hears(), stored.Asked.UnixNano() < t.trustFrom.Load():", "case !got.found, !t.ear.Hears():",
		},
		{
			"stored facts are not believed while the Store is not heard",
			"source_store.go", "case !got.found, !t.ear.Hears(), stored.Asked", "case !got.found, stored.Asked",
		},
		{
			"stored facts of long ago are not believed",
			"source_store.go", ", age < -maxClockSkew, age > maxFreshFor:", ", age < -maxClockSkew:",
		},
		{
			"stored facts that are dated ahead are not believed",
			"source_store.go", ", age < -maxClockSkew, age > maxFreshFor:", ", age > maxFreshFor:",
		},
		{
			"stored facts of another key are not believed",
			"source_store.go", "case stored.Key != key, stored.User", "case stored.User",
		},
		{
			"stored facts count their age from when GenAuth was asked",
			"source_store.go", "return known, max(0, age), version, nil", "return known, min(0, age), version, nil",
		},
		{
			"stored facts of before an invalidation are not believed",
			"flight.go", "\t\tif f.stored {\n\t\t\tf.err = errNotStored\n\t\t}\n", "",
		},
		{
			"stored facts do not undo what is known",
			"cache.go", "&& e.sent > f.sent.monotonic\n}", "&& e.sent < 0\n}",
		},
		{
			"stored facts do not undo a refusal",
			"cache.go", "&& r.at.monotonic > f.sent.monotonic {", "&& r.at.monotonic < 0 {",
		},
		{
			"after a missed invalidation all is asked for again",
			"tombstone.go", "missed() { t.cache.epoch.Add(1) }", "missed() {}",
		},
		{
			"an invalidation of another instance is heard",
			"tombstone.go", "[]StoreKey{e.Key, e.User}", "[]StoreKey{e.User}",
		},
		{
			"a user's invalidation by another instance is heard",
			"tombstone.go", "[]StoreKey{e.Key, e.User}", "[]StoreKey{e.Key}",
		},
		{
			"a lookup answers nobody who came too long after it",
			"source_genauth.go", "if n == nothing || b.own || b.sent", "if n != cold || b.own || b.sent",
		},
		{
			"a lookup answers nobody who came after a missed invalidation",
			"flight.go", "&& f.epoch == l.cache.epochNow() && (f.sent", "&& (f.sent",
		},
		{
			"one token's facts answer no other token",
			"decide.go", "key := d.cache.keys.Key(rq.token)", "key := d.cache.keys.Key(rq.token[:4])",
		},
		{
			"what was invalidated meanwhile is not kept",
			"flight.go", "\t\treturn\n\t}\n\tswitch failureOf(err) {", "\t}\n\tswitch failureOf(err) {",
		},
		{
			"requests share a lookup",
			"flight.go", "f != nil && l.joinable(f, now) {\n\t\tif", "f != nil && l.table == storeTable && l.joinable(f, now) {\n\t\tif",
		},
		{
			"what is known is not asked for again",
			"flight.go", "n = l.cache.readLocked(s, q.key, p, l.cache.moment(now), &r); n == nothing {", "n = l.cache.readLocked(s, q.key, p, l.cache.moment(now), &r); n == nothing && r.err != nil {",
		},
		{
			"after an outage GenAuth is asked again",
			"internal/breaker/breaker.go", "pause    = time.Second //", "pause    = time.Hour //",
		},
		{
			"a failure or two do not stop the lookups of all",
			"internal/breaker/breaker.go", "case b.row >= enough:", "case b.row > 0:",
		},
		{
			"failures of one token do not stop the lookups of all",
			"internal/breaker/breaker.go", "case o == Failed && c.Known:\n\t\tb.users.add(c.User)", "case o == Failed:\n\t\tb.row++",
		},
		{
			"a success lets all lookups go on",
			"internal/breaker/breaker.go", "b.cause, b.probe, b.other, b.cold, b.waiting = NotOpen, nil, nil, nil, nil", "b.probe, b.cold = nil, nil",
		},
		{
			"a limit on one user pauses nobody else",
			"internal/breaker/memory.go", "if !all {", "if !all && d < 0 {",
		},
		{
			"limits on tokens that anybody can make up pause nobody",
			"internal/breaker/memory.go", "if !c.Known {", "if !c.Known && d < 0 {",
		},
		{
			"a success ends the holding of a user",
			"source_genauth.go", "g.users.Succeed(f.caller.User, func", "g.users.Succeed(0, func",
		},
		{
			"Invalidate frees a user who is held",
			"internal/breaker/users.go", "one.memory.Failing() && over(one.failed)", "one.memory.Failing() && over(one.failed) && one.who == 0",
		},
		{
			"a token is held for two seconds at first",
			"internal/breaker/memory.go", "firstHold = 2 * time.Second", "firstHold = 29 * time.Second",
		},
		{
			"a token is not held after its first failure",
			"internal/breaker/memory.go", "case certain, m.failed && successes > m.since:", "case certain, m.failed || successes > m.since:",
		},
		{
			"a token is not held while all fail",
			"internal/breaker/memory.go", "case certain, m.failed && successes > m.since:", "case certain, m.failed:",
		},
		{
			"Invalidate frees a token that is held",
			"source_genauth.go", "if !ok || g.ended(r.graves, r.failed) {", "if !ok {",
		},
		{
			"no request waits longer than Timeout",
			"decide.go", "context.WithTimeoutCause(ctx, patience,", "context.WithTimeoutCause(ctx, 2*patience,",
		},
		{
			"a panic opens nothing",
			"flight.go", "*err = &panicError{where: \"lookup\", value: said}", "*err = nil",
		},
	}
}
