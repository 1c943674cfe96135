package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/spf13/cobra"
)

// Emulator is what emulator prints when it listens.
type Emulator struct {
	URL   string         `json:"url"`
	AppID string         `json:"app_id"`
	Users []EmulatorUser `json:"users"`
}

// EmulatorUser is a user of the emulator.
type EmulatorUser struct {
	Username string                   `json:"username"`
	Password string                   `json:"password"`
	Factors  []genauthtest.FactorType `json:"factors"`
	Token    string                   `json:"token"`
}

// emulatorFlags are the flags of emulator.
type emulatorFlags struct {
	addr, appID string
	lifetime    time.Duration
	users       []string
}

func (a *app) emulatorCommand() *cobra.Command {
	var flags emulatorFlags
	command := &cobra.Command{
		Use:   "emulator",
		Short: "Run an emulator of GenAuth for local development, until it is interrupted",
		Long: `Run an emulator of GenAuth for local development, until it is interrupted.

It prints its users with a token of each, listens on this machine only, and keeps
nothing. It is not for production.`,
		Example: `  echomfa emulator
  echomfa emulator --user alice:OTP,FACE --user bob`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(command *cobra.Command, _ []string) error { return a.emulator(command, &flags) },
	}
	f := command.Flags()
	f.StringVar(&flags.addr, "addr", "127.0.0.1:0", "the loopback `ADDRESS` and port to listen on")
	f.StringVar(&flags.appID, "app-id", "", "the `ID` of the application (default one that is made up)")
	f.DurationVar(&flags.lifetime, "token-lifetime", 24*time.Hour, "the `TIME` that the tokens are good")
	f.StringArrayVar(&flags.users, "user", []string{"none", "otp:OTP", "both:OTP,FACE"}, "a `USER`'s name and factors, such as alice:OTP,FACE")
	complete(command)
	return command
}

func (a *app) emulator(command *cobra.Command, flags *emulatorFlags) error {
	users, err := flags.check()
	if err != nil {
		return err
	}
	// The other commands have nothing to do when they are interrupted.
	ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := genauthtest.New(genauthtest.Config{Addr: flags.addr, AppID: flags.appID, TokenLifetime: flags.lifetime})
	if err != nil {
		return &failure{exitOther, fmt.Errorf("--addr: %w", err)}
	}
	defer s.Close()
	told := Emulator{URL: s.URL(), AppID: s.AppID(), Users: []EmulatorUser{}}
	var b strings.Builder
	fmt.Fprintf(&b, "export GENAUTH_HOST=%s GENAUTH_APP_ID=%s\n", told.URL, told.AppID)
	for _, u := range users {
		u = s.AddUser(u)
		user := EmulatorUser{u.Username, u.Password, append([]genauthtest.FactorType{}, u.Factors...), s.AccessToken(u.ID)}
		told.Users = append(told.Users, user)
		fmt.Fprintf(&b, "\n# %s, password %s, has %s\nACCESS_TOKEN=%s\n", user.Username, user.Password, listed(user.Factors), user.Token)
	}
	if err := a.print(b.String(), told); err != nil {
		return err
	}
	if !a.json {
		_, _ = fmt.Fprintln(a.Err, "echomfa: listening, until it is interrupted")
	}
	<-ctx.Done()
	return nil
}

func listed(types []genauthtest.FactorType) string {
	names := make([]string, 0, len(types))
	for _, t := range types {
		names = append(names, string(t))
	}
	if len(names) == 0 {
		return "no factor"
	}
	return strings.Join(names, ", ")
}

// check returns the users, or all that is wrong with the flags.
func (flags *emulatorFlags) check() ([]genauthtest.User, error) {
	var errs []error
	if host, _, err := net.SplitHostPort(flags.addr); err != nil {
		errs = append(errs, fmt.Errorf("--addr: %q is not an address and a port, such as 127.0.0.1:8080", flags.addr))
	} else if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		errs = append(errs, fmt.Errorf("--addr: %q is not of this machine alone: the emulator takes everybody's password", flags.addr))
	}
	if flags.lifetime < time.Second {
		errs = append(errs, fmt.Errorf("--token-lifetime: %v is less than a second", flags.lifetime))
	}
	var users []genauthtest.User
	seen := make(map[string]bool)
	for _, text := range flags.users {
		name, types, _ := strings.Cut(text, ":")
		set, err := factors(split([]string{types}))
		switch {
		case name == "":
			errs = append(errs, fmt.Errorf("--user: %q has no name", text))
		case err != nil:
			errs = append(errs, fmt.Errorf("--user: %s: %w", name, err))
		case seen[strings.ToLower(name)]:
			errs = append(errs, fmt.Errorf("--user: %s is there twice", name))
		}
		seen[strings.ToLower(name)] = true
		users = append(users, genauthtest.User{ID: name, Username: name, Factors: set.Types()})
	}
	return users, errors.Join(errs...)
}
