package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/echomfa/echomfa"
)

// settings come from the environment; each has a default.
type settings struct {
	addr        string         // ADDR
	host, appID string         // GENAUTH_HOST, GENAUTH_APP_ID; empty: the emulator
	policy      echomfa.Policy // MFA_POLICY
	enrollURL   string         // ENROLL_URL
	freshFor    time.Duration  // FRESH_FOR
}

func readSettings(lookup func(string) (string, bool)) (settings, error) {
	get := func(name, byDefault string) string {
		if v, ok := lookup(name); ok && v != "" {
			return v
		}
		return byDefault
	}
	s := settings{
		addr:      get("ADDR", "127.0.0.1:8080"),
		host:      get("GENAUTH_HOST", ""),
		appID:     get("GENAUTH_APP_ID", ""),
		enrollURL: get("ENROLL_URL", "/mfa"),
	}
	var errs []error
	var err error
	if s.policy, err = echomfa.ParsePolicy(get("MFA_POLICY", "OTP or FACE")); err != nil {
		errs = append(errs, fmt.Errorf("MFA_POLICY: %w", err))
	}
	if s.freshFor, err = time.ParseDuration(get("FRESH_FOR", "60s")); err != nil {
		errs = append(errs, fmt.Errorf("FRESH_FOR: %w", err))
	} else if s.freshFor <= 0 {
		errs = append(errs, fmt.Errorf("FRESH_FOR: %v is not a positive duration", s.freshFor))
	}
	switch {
	case s.host == "" && s.appID == "" && !isLoopback(s.addr):
		errs = append(errs, errors.New("GENAUTH_HOST and GENAUTH_APP_ID are missing: the emulator serves only a loopback ADDR"))
	case s.host == "" && s.appID != "":
		errs = append(errs, errors.New("GENAUTH_HOST is missing"))
	case s.host != "" && s.appID == "":
		errs = append(errs, errors.New("GENAUTH_APP_ID is missing"))
	}
	return s, errors.Join(errs...)
}

// isLoopback reports whether only this machine can reach an address.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
