package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
)

// settings come from the environment; each has a default.
type settings struct {
	addr        string         // ADDR
	opsAddr     string         // OPS_ADDR: where the operator's page is
	host, appID string         // GENAUTH_HOST, GENAUTH_APP_ID; empty: the emulator
	policy      echomfa.Policy // MFA_POLICY
	rulesFile   string         // RULES_FILE; empty: one that the portal writes
	enrollURL   string         // ENROLL_URL
	baseURL     string         // BASE_URL: where browsers find the portal, if that is not ADDR
	freshFor    time.Duration  // FRESH_FOR
}

// readSettings reads an environment of "NAME=value" lines.
func readSettings(environ []string) (settings, error) {
	var genauth []string // the GENAUTH_* that are set, be it to nothing
	values := make(map[string]string)
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
		if strings.HasPrefix(name, "GENAUTH_") {
			genauth = append(genauth, name)
		}
	}
	get := func(name, byDefault string) string { return cmp.Or(values[name], byDefault) }
	s := settings{
		addr:      get("ADDR", "127.0.0.1:8080"),
		opsAddr:   get("OPS_ADDR", "127.0.0.1:0"),
		host:      get("GENAUTH_HOST", ""),
		appID:     get("GENAUTH_APP_ID", ""),
		enrollURL: get("ENROLL_URL", "/mfa"),
	}
	s.baseURL, s.rulesFile = values["BASE_URL"], values["RULES_FILE"]
	if s.baseURL == "" && !strings.HasPrefix(s.enrollURL, "/") {
		s.baseURL = "http://" + s.addr
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
	if !isLoopback(s.opsAddr) {
		errs = append(errs, fmt.Errorf(`OPS_ADDR: %q is not on this machine, such as "127.0.0.1:8081": the operator's page has no sign-in`, s.opsAddr))
	}
	if _, _, err := net.SplitHostPort(s.addr); err != nil {
		errs = append(errs, fmt.Errorf(`ADDR: %q is not a host and a port, such as "127.0.0.1:8089"`, s.addr))
		return s, errors.Join(errs...)
	}
	switch {
	case s.host != "" && s.appID != "":
	case len(genauth) == 0 && isLoopback(s.addr): // the emulator
	case len(genauth) == 0:
		errs = append(errs, errors.New("GENAUTH_HOST and GENAUTH_APP_ID are missing: the emulator serves only a loopback ADDR"))
	case s.host == "":
		errs = append(errs, fmt.Errorf("GENAUTH_HOST is missing: the emulator serves only where no GENAUTH_* is set, and there is %s",
			strings.Join(genauth, ", ")))
	default:
		errs = append(errs, errors.New("GENAUTH_APP_ID is missing"))
	}
	return s, errors.Join(errs...)
}

// enrollPath is where the enrollment pages are mounted: at ENROLL_URL, or, where
// that leads to another host, at /mfa, for the account page.
func (s *settings) enrollPath() string {
	if strings.HasPrefix(s.enrollURL, "/") {
		return s.enrollURL
	}
	return "/mfa"
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
