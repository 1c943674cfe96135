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
	t := client.FactorType(v.form.Get("type")).Normalize()
	enrolled, partial, err := v.fresh(v.r.Context())
	if err == nil && partial {
		err = client.ErrMalformed // what is left after it is not known
	}
	if err != nil {
		v.fail(err)
		return
	}
	choices := choicesOf(enrolled, t)
	id := v.form.Get("factor_id")
	if id == "" && len(choices) == 1 {
		id = choices[0].ID
	}
	if len(choices) == 0 || id != "" && !slices.ContainsFunc(choices, func(c Choice) bool { return c.ID == id }) {
		v.forget(v.r.Context()) // it has been removed elsewhere, or by this form, which came twice
		v.redirect(v.destination())
		return
	}
	page := &Page{
		Name: "remove", Type: t, Choices: choices, FactorID: id, Action: "remove",
		Locks: v.locks(enrolled, t), NeedsCode: has(enrolled, client.OTP) && !v.h.cfg.InsecureSkipProof,
	}
	switch {
	case v.form.Get("confirm") == "":
		v.ask(page, enrolled)
	case id == "":
		v.show(page.wrong(v, http.StatusUnprocessableEntity, "factor_id", "error.choose"))
	case page.Locks && v.form.Get("understood") == "":
		v.show(page.wrong(v, http.StatusUnprocessableEntity, "understood", "error.understood"))
	default:
		v.removeNow(page, enrolled)
	}
}

// ask shows the form. Who has to sign in first should know before filling it in.
func (v *visit) ask(page *Page, enrolled []client.Factor) {
	if !page.NeedsCode {
		if _, err := v.proven(enrolled, false); err != nil {
			v.unproven(err, page)
			return
		}
	}
	v.show(page)
}

func (v *visit) removeNow(page *Page, enrolled []client.Factor) {
	_, err := v.proven(enrolled, false)
	switch {
	case errors.Is(err, errNeedsCode):
		v.show(page.wrong(v, http.StatusUnprocessableEntity, "code", "error.code"))
		return
	case err != nil:
		v.unproven(err, page)
		return
	}
	if err := v.reset(page.FactorID); err != nil {
		v.forget(v.r.Context()) // nobody knows
		if errors.Is(err, client.ErrMisconfigured) {
			v.log("GenAuth refused to remove a factor", err)
			v.message(http.StatusConflict, "error.not_removed")
			return
		}
		v.fail(err)
		return
	}
	v.changed(Removed, page.Type)
	v.redirect(v.destination())
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
			choices = append(choices, Choice{ID: f.ID, Hint: hint(f.Profile)})
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
	return slices.ContainsFunc(append(v.h.cfg.Enforcer.Policies(), v.wanted), func(p echomfa.Policy) bool {
		return p.Evaluate(echomfa.Factors(now...)).Satisfied && !p.Evaluate(echomfa.Factors(after...)).Satisfied
	})
}
