package enroll

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// start shows what is missing and what can be done about it.
func (v *visit) start() { v.startWith("") }

// startWith is start with a notice, by its key.
func (v *visit) startWith(notice string) {
	offered, err := v.offered()
	skipped := (*client.PartialError)(nil)
	if err != nil && !errors.As(err, &skipped) {
		v.fail(err)
		return
	}
	everything := normalized(offered)
	offered = v.h.walkable(everything)
	p := &Page{Name: "start", Methods: v.methods()}
	p.Satisfied, p.Missing, p.Enrolled = v.decision.Outcome == echomfa.Allowed, v.decision.Missing, v.decision.Enrolled.Types()
	p.Helpful = helpful(p.Missing, offered)
	if p.Satisfied {
		for _, types := range v.perhaps() {
			if skipped != nil || containsAll(offered, types) {
				p.Perhaps = append(p.Perhaps, types)
			} else {
				p.Elsewhere = append(p.Elsewhere, types)
			}
		}
	} else if can := within(p.Missing, offered); len(can) > 0 {
		p.Missing = can
	}
	for _, t := range offered {
		if !slices.Contains(p.Helpful, t) {
			p.Other = append(p.Other, t)
		}
	}
	switch {
	case p.Satisfied || len(p.Helpful) > 0:
	case skipped != nil: // what was left out may be what helps
		v.fail(err)
		return
	default:
		v.deadEnd(p, everything)
	}
	if notice != "" {
		p.Notice = v.text(notice)
	}
	v.show(p)
}

// deadEnd makes a page that says that no alternative can be set up here, and why. No policy
// check at start-up can know all of it: what an app offers is set at GenAuth, and may be
// changed there.
func (v *visit) deadEnd(p *Page, everything []client.FactorType) {
	p.Name, p.Other = "deadend", nil
	reason := "not_offered"
	if can := within(p.Missing, everything); len(can) > 0 {
		reason = "hosted_url_missing"
		p.Missing, p.Helpful = can, v.h.walkable(helpful(can, everything))
		for _, types := range can {
			types = slices.DeleteFunc(slices.Clone(types), func(t client.FactorType) bool { return !isHosted(t) })
			if !slices.ContainsFunc(p.Elsewhere, func(have []client.FactorType) bool { return slices.Equal(have, types) }) {
				p.Elsewhere = append(p.Elsewhere, types)
			}
		}
	}
	v.h.cfg.Logger.LogAttrs(v.r.Context(), slog.LevelWarn, "enrollment policy cannot be satisfied on these pages",
		slog.String("event", "enroll_dead_end"), slog.String("path", v.loggedPath()), v.reference(), slog.String("reason", reason))
}

// offer is what the app offers to a user, with an error if some of it could not be read.
type offer struct {
	types   []client.FactorType
	partial error
}

// offered asks GenAuth what the app offers, not again at once for each page.
func (v *visit) offered() ([]client.FactorType, error) {
	if known, ok := v.h.offers.get(v.token); ok {
		return known.types, known.partial
	}
	types, err := v.h.cfg.Client.ListFactorsToEnroll(v.r.Context(), v.token)
	if skipped := (*client.PartialError)(nil); err == nil || errors.As(err, &skipped) {
		v.h.offers.set(v.token, offer{types, err}, offeredFor)
	}
	return types, err
}

// methods returns the user's factors as GenAuth has them now, which is what the page goes by
// then: the user may have set up one elsewhere a moment ago. If GenAuth does not say,
// they are those that the enforcer knows.
func (v *visit) methods() []Choice {
	list, partial, err := v.fresh(v.r.Context())
	if err != nil || partial {
		var choices []Choice
		for _, t := range v.decision.Enrolled.Types() {
			choices = append(choices, Choice{Type: t})
		}
		return choices
	}
	if now := factorsOf(list); !slices.Equal(now.Types(), v.decision.Enrolled.Types()) {
		v.forget(v.r.Context())
		v.judge(now)
	}
	var choices []Choice
	for _, t := range v.decision.Enrolled.Types() {
		choices = append(choices, choicesOf(list, t)...)
	}
	return choices
}

// perhaps returns what other routes of the app ask for and the user has not. The pages do
// not know which route a return-to leads to: if it is one of those, users would be told
// that nothing is missing, and sent back again.
func (v *visit) perhaps() [][]client.FactorType {
	if v.back == "" || v.h.cfg.PolicyFunc != nil {
		return nil
	}
	var missing [][]client.FactorType
	for _, mounted := range v.h.routePolicies() {
		if !v.wanted.Implies(mounted) {
			v.warnOf(mounted)
		}
		for _, types := range mounted.Evaluate(v.decision.Enrolled).Missing {
			if !slices.ContainsFunc(missing, func(have []client.FactorType) bool { return slices.Equal(have, types) }) {
				missing = append(missing, types)
			}
		}
	}
	return missing
}

// routePolicies returns the policies of the app's routes, as far as they are known.
func (h *Handler) routePolicies() []echomfa.Policy {
	return append(h.cfg.Enforcer.Policies(), h.cfg.RoutePolicies...)
}

// warnOf says once that users who have done all that the pages ask for are refused
// elsewhere.
func (v *visit) warnOf(mounted echomfa.Policy) {
	v.h.narrow.Do(func() {
		v.h.cfg.Logger.LogAttrs(v.r.Context(), slog.LevelWarn, "enrollment pages ask for less than a route: set PolicyFunc",
			slog.String("event", "enroll_policy_narrow"), slog.String("policy", v.wanted.String()), slog.String("route_policy", mounted.String()))
	})
}

// warnOfHosted says which factor a policy needs that nobody can set up here. Who reads it
// has the app's configuration open; later, users run into a page that leads nowhere.
func (h *Handler) warnOfHosted() {
	policies := h.routePolicies()
	if h.cfg.PolicyFunc == nil {
		policies = append([]echomfa.Policy{h.cfg.Policy}, policies...)
	}
	for _, p := range policies {
		missing := p.Evaluate(echomfa.Factors(client.OTP, client.SMS, client.Email)).Missing
		if h.cfg.HostedURL == "" && len(missing) > 0 {
			h.cfg.Logger.Warn("enrollment policy needs a factor that these pages cannot set up: set HostedURL",
				slog.String("event", "enroll_policy_needs_hosted_url"), slog.String("policy", p.String()), slog.String("factor", string(missing[0][0])))
			return
		}
	}
}

func normalized(offered []client.FactorType) []client.FactorType {
	var list []client.FactorType
	for _, t := range offered {
		if t = t.Normalize(); !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return list
}

// walkable returns the types that users can enroll by these pages, or by GenAuth's if
// there is an address to send them to.
func (h *Handler) walkable(offered []client.FactorType) []client.FactorType {
	return slices.DeleteFunc(slices.Clone(offered), func(t client.FactorType) bool { return h.cfg.HostedURL == "" && isHosted(t) })
}

// within returns the alternatives of which all is offered.
func within(alternatives [][]client.FactorType, offered []client.FactorType) [][]client.FactorType {
	return slices.DeleteFunc(slices.Clone(alternatives), func(types []client.FactorType) bool { return !containsAll(offered, types) })
}

// isHosted reports whether only GenAuth's own pages can enroll a type.
func isHosted(t client.FactorType) bool {
	return t != client.OTP && t != client.SMS && t != client.Email
}

// helpful returns what is offered and part of an alternative that can be
// enrolled whole.
func helpful(missing [][]client.FactorType, offered []client.FactorType) []client.FactorType {
	var list []client.FactorType
	for _, t := range offered {
		if slices.ContainsFunc(missing, func(types []client.FactorType) bool {
			return slices.Contains(types, t) && containsAll(offered, types)
		}) {
			list = append(list, t)
		}
	}
	return list
}

func containsAll(list, types []client.FactorType) bool {
	for _, t := range types {
		if !slices.Contains(list, t) {
			return false
		}
	}
	return true
}

// check asks GenAuth again, so that what was enrolled elsewhere a moment ago counts, and
// goes back if it is enough. If it is not, the page says so: back in the app the user
// would be sent here again.
func (v *visit) check() {
	v.forget(v.r.Context())
	list, partial, err := v.fresh(v.r.Context())
	if err != nil || partial { // the app asks, and says what is wrong
		v.leave()
		return
	}
	if v.judge(factorsOf(list)); v.decision.Outcome == echomfa.Allowed {
		v.leave()
		return
	}
	v.goOn(&shown{View: viewChecked, Notice: "notice.none"})
}

// showChecked is the first page, for who has checked and had nothing new.
func (v *visit) showChecked(s *shown) {
	switch {
	case !v.mayAsk():
	case v.decision.Outcome == echomfa.Allowed: // since then
		v.start()
	default:
		v.startWith(s.Notice)
	}
}

// begin starts the enrollment of a factor, once it is proved who asks for it.
func (v *visit) begin() {
	t := client.FactorType(v.form.Get("type")).Normalize()
	switch {
	case t == "":
		v.redirect(v.startPath())
		return
	case isHosted(t):
		v.goOn(&shown{View: viewHosted, Type: t})
		return
	}
	enrolled, partial, err := v.fresh(v.r.Context())
	if err != nil {
		v.fail(err)
		return
	}
	until, err := v.proven(enrolled, partial)
	if err != nil {
		v.unproven(err, &shown{ID: v.stepID(), View: viewProve, Type: t})
		return
	}
	st := &state{ID: newID(), Type: t, ProvenUntil: until, Had: count(enrolled, t), HadApp: hasApp(enrolled)}
	if t == client.OTP {
		v.beginApp(st)
		return
	}
	v.goOn(&shown{View: viewAddress, State: st})
}

// isRefusal reports whether GenAuth has understood a call and refuses what was typed.
func isRefusal(err error) bool {
	e := (*client.APIError)(nil)
	if !errors.As(err, &e) || !errors.Is(err, client.ErrMisconfigured) {
		return false
	}
	for _, status := range []int{e.HTTPStatus, e.StatusCode} {
		switch status {
		case http.StatusBadRequest, http.StatusUnprocessableEntity, 499:
			return true
		}
	}
	return false
}

// refusedToBegin answers an error of SendEnrollFactorRequest that is about the
// factor: GenAuth does not document why it refuses one.
func (v *visit) refusedToBegin(err error) bool {
	if !errors.Is(err, client.ErrMisconfigured) {
		return false
	}
	v.log("enroll_begin_refused", "GenAuth refused to begin an enrollment", err)
	v.message(http.StatusConflict, "error.not_offered")
	return true
}
