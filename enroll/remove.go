package enroll

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// remove asks whether a factor is to be removed, and removes it.
func (v *visit) remove() {
	s := &shown{
		ID: v.stepID(), View: viewRemove, Type: client.FactorType(v.form.Get("type")).Normalize(),
		FactorID: v.form.Get("factor_id"), Understood: v.form.Get("understood") != "",
	}
	page, enrolled, ok := v.removal(s)
	switch {
	case !ok:
	case len(page.Choices) == 0:
		v.forget(v.r.Context()) // it has been removed elsewhere, or by this form, which came twice
		v.goOn(&shown{ID: s.ID, View: viewChanged, Type: s.Type, Change: Removed})
	case v.form.Get("confirm") == "":
		v.ask(s, page, enrolled)
	case page.FactorID == "":
		v.goOn(s.wrong("factor_id", "error.choose"))
	case page.Locks && !s.Understood:
		v.goOn(s.wrong("understood", "error.understood"))
	default:
		v.removeNow(s, page, enrolled)
	}
}

// removal returns the page that asks, and the user's factors. It has no choices if what
// was chosen is not there. If it is not known, ok is false and the visit is answered.
func (v *visit) removal(s *shown) (page *Page, enrolled []client.Factor, ok bool) {
	enrolled, partial, err := v.fresh(v.r.Context())
	if err == nil && partial {
		err = client.ErrMalformed // what is left after it is not known
	}
	if err != nil {
		v.fail(err)
		return nil, nil, false
	}
	page = &Page{
		Name: "remove", Type: s.Type, Choices: choicesOf(enrolled, s.Type), FactorID: s.FactorID, Understood: s.Understood, Action: "remove",
		Locks: v.locks(enrolled, s.Type), NeedsCode: hasApp(enrolled) && !v.h.cfg.InsecureSkipProof,
	}
	if page.FactorID == "" && len(page.Choices) == 1 {
		page.FactorID = page.Choices[0].ID
	}
	if id := page.FactorID; id != "" && !slices.ContainsFunc(page.Choices, func(c Choice) bool { return c.ID == id }) {
		page.Choices = nil
	}
	return page, enrolled, true
}

// showRemoval shows the page that asks.
func (v *visit) showRemoval(s *shown) {
	if !v.mayAsk() {
		return
	}
	page, _, ok := v.removal(s)
	switch {
	case !ok:
	case len(page.Choices) == 0:
		v.startWith("notice.gone")
	default:
		v.showStep(s, page)
	}
}

// ask shows the form. Who has to sign in first should know before filling it in.
func (v *visit) ask(s *shown, page *Page, enrolled []client.Factor) {
	if !page.NeedsCode {
		if _, err := v.proven(enrolled, false); err != nil {
			v.unproven(err, s)
			return
		}
	}
	v.goOn(s)
}

func (v *visit) removeNow(s *shown, page *Page, enrolled []client.Factor) {
	_, err := v.proven(enrolled, false)
	switch {
	case errors.Is(err, errNeedsCode):
		v.goOn(s.wrong("code", "error.code"))
		return
	case err != nil:
		v.unproven(err, s)
		return
	}
	if err := v.reset(page.FactorID); err != nil {
		v.forget(v.r.Context()) // nobody knows
		if errors.Is(err, client.ErrMisconfigured) {
			v.log("enroll_remove_refused", "GenAuth refused to remove a factor", err)
			v.message(http.StatusConflict, "error.not_removed")
			return
		}
		v.fail(err)
		return
	}
	v.changed(Removed, s.Type, page.FactorID)
	v.goOn(&shown{ID: s.ID, View: viewChanged, Type: s.Type, Change: Removed})
}

// reset removes a factor. That GenAuth's answer is bad or lost does not say that
// the factor is still there, and the app is to be told if it is not.
func (v *visit) reset(id string) error {
	err := v.h.cfg.Client.ResetFactor(v.lasting(), v.token, id)
	if err == nil {
		return nil
	}
	left, partial, listErr := v.fresh(v.lasting())
	if listErr != nil || partial || slices.ContainsFunc(left, func(f client.Factor) bool { return f.ID == id }) {
		return err
	}
	return nil
}

// choicesOf returns the factors of a type, with enough of a number or an address
// to tell them apart.
func choicesOf(list []client.Factor, t client.FactorType) []Choice {
	var choices []Choice
	for _, f := range list {
		if f.Type.Normalize() == t {
			choices = append(choices, Choice{ID: f.ID, Hint: hint(f.Profile), Type: t})
		}
	}
	return choices
}

func hint(profile map[string]any) string {
	if number, ok := profile["phoneNumber"].(string); ok && len(number) > 4 {
		return "…" + number[len(number)-4:]
	}
	if email, ok := profile["email"].(string); ok {
		if name, host, ok := strings.Cut(email, "@"); ok && name != "" {
			return string([]rune(name)[:1]) + "…@" + host
		}
	}
	return ""
}

// locks reports whether a page that the user can open now would be shut after one
// factor of a type is removed.
func (v *visit) locks(enrolled []client.Factor, t client.FactorType) bool {
	var now, after []client.FactorType
	left := slices.Clone(enrolled)
	if i := slices.IndexFunc(left, func(f client.Factor) bool { return f.Type.Normalize() == t }); i >= 0 {
		left = slices.Delete(left, i, i+1)
	}
	for _, f := range enrolled {
		now = append(now, f.Type)
	}
	for _, f := range left {
		after = append(after, f.Type)
	}
	return slices.ContainsFunc(append(v.h.routePolicies(), v.wanted), func(p echomfa.Policy) bool {
		return p.Evaluate(echomfa.Factors(now...)).Satisfied && !p.Evaluate(echomfa.Factors(after...)).Satisfied
	})
}
