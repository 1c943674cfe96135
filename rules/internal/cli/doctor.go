package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/spf13/cobra"
)

// Doctor is what doctor answers.
type Doctor struct {
	Good bool `json:"good"`
	// Problem says what is wrong. It has neither the address nor the application.
	Problem string `json:"problem,omitempty"`
}

// doctorTimeout is for a person who waits, not for a request.
const doctorTimeout = 10 * time.Second

func (a *app) doctorCommand() *cobra.Command {
	config := client.Config{Timeout: doctorTimeout}
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Find out whether the settings for GenAuth are right",
		Long: `Find out whether the settings for GenAuth are right: whether the address is that of
a GenAuth, and whether it knows the application. No token is needed, and nothing is
changed there. What it prints has neither the address nor the application.`,
		Example: `  echomfa doctor --host https://example.genauth.ai --app-id 65a1b2c3d4e5f60718293a4b`,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config.BaseURL = cmp.Or(config.BaseURL, a.Getenv("GENAUTH_HOST"))
			config.AppID = cmp.Or(config.AppID, a.Getenv("GENAUTH_APP_ID"))
			return a.doctor(command.Context(), config)
		},
	}
	f := command.Flags()
	f.StringVar(&config.BaseURL, "host", "", "GenAuth's authentication address of the app (default $GENAUTH_HOST)")
	f.StringVar(&config.AppID, "app-id", "", "the app id (default $GENAUTH_APP_ID)")
	f.StringVar(&config.AppIDHeader, "app-id-header", "", "the name of the header for it, if a deployment renames it")
	return command
}

func (a *app) doctor(ctx context.Context, config client.Config) error {
	var errs []error
	if config.BaseURL == "" {
		errs = append(errs, errors.New("--host: give it, or set GENAUTH_HOST"))
	}
	if config.AppID == "" {
		errs = append(errs, errors.New("--app-id: give it, or set GENAUTH_APP_ID"))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	c, err := client.New(config)
	if err != nil {
		return fmt.Errorf("--host (BaseURL), --app-id (AppID), --app-id-header (AppIDHeader): %w", err)
	}
	defer c.CloseIdleConnections()
	d, text := Doctor{Good: true}, "good: this is a GenAuth, and it does not deny the application\n"
	if err := c.Check(ctx); err != nil {
		d = Doctor{Problem: "the program was ended"}
		if failed := (*client.CheckError)(nil); errors.As(err, &failed) {
			d.Problem = failed.Problem
		}
		text = "failed: " + d.Problem + "\n"
	}
	if err := a.print(text, d); err != nil {
		return err
	}
	if !d.Good {
		return &failure{code: exitInvalid}
	}
	return nil
}
