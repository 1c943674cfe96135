package genauthtest

import (
	"net/http"
	"slices"
	"strings"
)

// factor is an enrolled factor, and a row of an answer.
type factor struct {
	ID      string         `json:"factorId"`
	Type    FactorType     `json:"factorType"`
	Profile map[string]any `json:"profile"`
}

// factorChoice is a row of the answer of list-factors-to-enroll.
type factorChoice struct {
	Type FactorType `json:"factorType"`
}

func (a *account) has(t FactorType) bool {
	return slices.ContainsFunc(a.factors, func(f factor) bool { return f.Type == t })
}

// bind enrolls a factor, filling in what it lacks.
func (s *Server) bind(a *account, f factor) {
	if f.ID == "" {
		f.ID = s.factorID(a, f.Type)
	}
	if f.Profile == nil {
		f.Profile = profileOf(a, f.Type)
	}
	if f.Type == OTP && a.otpSecret == "" {
		a.otpSecret = newOTPSecret()
	}
	a.factors = append(a.factors, f)
}

// unbind removes the factors that match.
func (a *account) unbind(match func(factor) bool) {
	a.factors = slices.DeleteFunc(a.factors, match)
	if !a.has(OTP) {
		a.otpSecret = ""
	}
}

func (s *Server) factorID(a *account, t FactorType) string {
	if !s.cfg.CompositeFactorIDs {
		return randomHex(12)
	}
	suffix := strings.ToLower(string(t))
	if t == SMS {
		suffix = "phone"
	}
	return a.ID + "|" + suffix
}

// profileOf is the profile of a factor that was enrolled without one. GenAuth
// documents it for SMS and EMAIL; for others an empty object is a choice.
func profileOf(a *account, t FactorType) map[string]any {
	switch {
	case t == SMS && a.Phone != "":
		return map[string]any{"phoneNumber": a.Phone, "phoneCountryCode": a.PhoneCountryCode}
	case t == Email && a.Email != "":
		return map[string]any{"email": a.Email}
	}
	return map[string]any{}
}

// listed returns what list-enrolled-factors lists.
func (s *Server) listed(a *account) []factor {
	list := slices.Clone(a.factors)
	for t, implicit := range map[FactorType]bool{
		SMS:   s.cfg.ImplicitSMS && a.Phone != "",
		Email: s.cfg.ImplicitEmail && a.Email != "",
	} {
		if implicit && !a.has(t) {
			list = append(list, factor{ID: a.ID + "|implicit-" + strings.ToLower(string(t)), Type: t, Profile: profileOf(a, t)})
		}
	}
	slices.SortStableFunc(list, func(f, g factor) int { return strings.Compare(string(f.Type), string(g.Type)) })
	return list
}

// asData is a list as the data of an answer: an array, or what DataAsObject
// says.
func asData[T any](s *Server, list []T) any {
	if s.cfg.DataAsObject && len(list) == 1 {
		return list[0]
	}
	return append([]T{}, list...) // an empty array, not null
}

// listEnrolledFactors is GET /api/v3/list-enrolled-factors.
func (s *Server) listEnrolledFactors(r *http.Request) Answer {
	return s.asCaller(r, func(a *account) Answer { return succeed(asData(s, s.listed(a))) })
}

// listFactorsToEnroll is GET /api/v3/list-factors-to-enroll: what is enabled
// and not yet bound.
func (s *Server) listFactorsToEnroll(r *http.Request) Answer {
	return s.asCaller(r, func(a *account) Answer {
		bound := s.listed(a)
		var choices []factorChoice
		for _, t := range s.cfg.EnabledFactors {
			if !slices.ContainsFunc(bound, func(f factor) bool { return f.Type == t }) {
				choices = append(choices, factorChoice{t})
			}
		}
		return succeed(asData(s, choices))
	})
}

// getFactor is GET /api/v3/get-factor.
func (s *Server) getFactor(r *http.Request) Answer {
	return s.asCaller(r, func(a *account) Answer {
		id := r.URL.Query().Get("factorId")
		list := s.listed(a)
		i := slices.IndexFunc(list, func(f factor) bool { return f.ID == id })
		if i < 0 {
			return fail(http.StatusNotFound, 0, "The factor does not exist.")
		}
		return succeed(list[i])
	})
}

// resetFactor is POST /api/v3/reset-factor. GenAuth's documentation once said
// that implicit factors cannot be removed so; what it answers then is a
// choice.
func (s *Server) resetFactor(r *http.Request) Answer {
	var body struct {
		FactorID string `json:"factorId"`
	}
	if !readJSON(r, &body) || body.FactorID == "" {
		return badRequest("factorId is missing")
	}
	return s.asCaller(r, func(a *account) Answer {
		is := func(f factor) bool { return f.ID == body.FactorID }
		switch {
		case slices.ContainsFunc(a.factors, is):
			a.unbind(is)
			return succeed(nil)
		case slices.ContainsFunc(s.listed(a), is):
			return fail(http.StatusUnprocessableEntity, 0, "Unbind the phone number or the e-mail address instead.")
		}
		return fail(http.StatusNotFound, 0, "The factor does not exist.")
	})
}

// verifyTOTP is POST /api/v3/mfa-totp-verify. GenAuth documents data.verified;
// that a wrong code is a success which says false is a choice.
func (s *Server) verifyTOTP(r *http.Request) Answer {
	var body struct {
		TOTP string `json:"totp"`
	}
	if !readJSON(r, &body) {
		return badRequest("the body is not JSON")
	}
	return s.asCaller(r, func(a *account) Answer {
		if body.TOTP == "" {
			return fail(http.StatusBadRequest, codeMissingTOTP, "The code is missing.")
		}
		verified := a.otpSecret != "" && matchesTOTP(a.otpSecret, body.TOTP, s.now())
		return succeed(map[string]any{"verified": verified})
	})
}
