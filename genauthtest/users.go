package genauthtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// User is someone who can sign in.
type User struct {
	// ID is the user id, the sub of the user's tokens. Default 24 random
	// hexadecimal digits.
	ID string
	// Username is what the user signs in with, or Email, or Phone. Default ID.
	Username string
	// Password is compared as it is. Default "password".
	Password string
	// Email is the address in the profile, if any.
	Email string
	// Phone is the number in the profile, if any, without a country code.
	Phone string
	// PhoneCountryCode belongs to Phone. Default "+86", as GenAuth documents.
	PhoneCountryCode string
	// Factors are enrolled from the start.
	Factors []FactorType
}

// account is a user and what belongs to it.
type account struct {
	User
	created    time.Time
	disabled   bool
	factors    []factor
	otpSecret  string                // of the enrolled OTP factor
	otpPending string                // of the latest request to enroll OTP
	passCodes  map[FactorType]string // the latest code sent
}

// AddUser adds a user and returns it with its defaults. It panics if the id,
// name, e-mail address or phone number is taken.
func (s *Server) AddUser(u User) User {
	u.ID = cmp.Or(u.ID, randomHex(12))
	u.Username = cmp.Or(u.Username, u.ID)
	u.Password = cmp.Or(u.Password, "password")
	if u.Phone != "" {
		u.PhoneCountryCode = cmp.Or(u.PhoneCountryCode, "+86")
	}
	u.Factors = slices.Clone(u.Factors)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range []string{u.ID, u.Username, u.Email, u.Phone} {
		if s.users[name] != nil || name != "" && s.find(name) != nil {
			panic(fmt.Sprintf("genauthtest: there is a user %q already", name))
		}
	}
	a := &account{User: u, created: s.now(), passCodes: make(map[FactorType]string)}
	s.users[u.ID] = a
	for _, t := range u.Factors {
		s.bind(a, factor{Type: t})
	}
	u.Factors = slices.Clone(u.Factors)
	return u
}

// SetDisabled disables a user, or enables them again. While a user is disabled, sign-in
// fails and the user's tokens are rejected.
func (s *Server) SetDisabled(userID string, disabled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustUser(userID).disabled = disabled
}

// Enroll enrolls factors, as if the user had done so elsewhere. A type that
// the user has already is left as it is.
func (s *Server) Enroll(userID string, types ...FactorType) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.mustUser(userID)
	for _, t := range types {
		if !a.has(t) {
			s.bind(a, factor{Type: t})
		}
	}
}

// Reset removes factors, as if the user had done so elsewhere; without types,
// all of them.
func (s *Server) Reset(userID string, types ...FactorType) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.mustUser(userID)
	a.unbind(func(f factor) bool { return len(types) == 0 || slices.Contains(types, f.Type) })
}

// Enrolled returns the types that the user has enrolled, sorted.
func (s *Server) Enrolled(userID string) []FactorType {
	s.mu.Lock()
	defer s.mu.Unlock()
	var types []FactorType
	for _, f := range s.mustUser(userID).factors {
		types = append(types, f.Type)
	}
	slices.Sort(types)
	return types
}

// OTPSecret returns the base32 secret of the user's OTP factor or, if there is
// none, of the latest request to enroll one; else "".
func (s *Server) OTPSecret(userID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.mustUser(userID)
	return cmp.Or(a.otpSecret, a.otpPending)
}

// OTPCode returns the code that an authenticator app with [Server.OTPSecret]
// shows now, by the emulator's clock. It is "" if there is no secret.
func (s *Server) OTPCode(userID string) string {
	secret := s.OTPSecret(userID)
	if secret == "" {
		return ""
	}
	code, err := TOTP(secret, s.Now())
	if err != nil {
		panic(err)
	}
	return code
}

// PassCode returns the latest code that was sent to the user to enroll an SMS
// or e-mail factor, or "".
func (s *Server) PassCode(userID string, t FactorType) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mustUser(userID).passCodes[t]
}

func (s *Server) mustUser(id string) *account {
	a := s.users[id]
	if a == nil {
		panic(fmt.Sprintf("genauthtest: there is no user %q", id))
	}
	return a
}

// find returns the account that signs in under a name, an address or a number,
// or nil.
func (s *Server) find(name string) *account {
	for _, a := range s.users {
		if name != "" && (name == a.Username || name == a.Phone || strings.EqualFold(name, a.Email)) {
			return a
		}
	}
	return nil
}

// username is the name of a user. The lock is not held.
func (s *Server) username(userID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mustUser(userID).Username
}
