package cli

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/echomfa/echomfa/client"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/echomfa/echomfa/rules/internal/doctor"
)

// Doctor is what doctor answers.
type Doctor struct {
	doctor.Report

	// Address and AppID are there with --show-host.
	Address string `json:"address,omitempty"`
	AppID   string `json:"app_id,omitempty"`
}

// doctorFlags are the flags of doctor.
type doctorFlags struct {
	config    client.Config
	tokenFile string
	enrolled  []string
	showHost  bool
}

func (a *app) doctorCommand() *cobra.Command {
	var flags doctorFlags
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Find out whether the settings for GenAuth are right, and how your GenAuth behaves",
		Long: `Find out whether the settings for GenAuth are right: whether the address is that of
a GenAuth, and whether it knows the application.

With the access token of a user also how your GenAuth behaves where its documents
leave a point open, and whether echomfa takes the token. The token comes from a file
or from standard input, and goes only to an address that has passed the check.

Doctor changes nothing at GenAuth. What it prints can be pasted into a report: it has
no token, nothing of the user, and neither the address nor the application.`,
		Example: `  echomfa doctor --host https://example.genauth.ai --app-id 65a1b2c3d4e5f60718293a4b
  echomfa doctor --token-file token.txt --enrolled OTP,FACE
  echomfa doctor --token-file - < token.txt`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 { // it may be a token, so it is not repeated
				return errors.New("doctor takes no arguments: a token comes from --token-file FILE, or from standard input by --token-file -")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(command *cobra.Command, _ []string) error { return a.doctor(command, &flags) },
	}
	command.SetFlagErrorFunc(doctorFlagError)
	f := command.Flags()
	f.StringVar(&flags.config.BaseURL, "host", "", "the `URL` that GenAuth calls the authentication address of the app (default $GENAUTH_HOST)")
	f.StringVar(&flags.config.AppID, "app-id", "", "the `ID` of the application (default $GENAUTH_APP_ID)")
	f.StringVar(&flags.config.AppIDHeader, "app-id-header", "", "the `NAME` of the header for it, if a deployment renames it")
	f.StringVar(&flags.tokenFile, "token-file", "", "the `FILE` whose first line is the access token of a user; - for standard input")
	f.StringArrayVar(&flags.enrolled, "enrolled", nil, "the `TYPES` that the user of the token has enrolled, such as OTP,FACE, or none")
	f.BoolVar(&flags.showHost, "show-host", false, "print the address and the app id, too")
	complete(command)
	return command
}

// doctorFlagError says what is wrong with a flag, and repeats nothing of it: it may be a
// token.
func doctorFlagError(command *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		alone   *pflag.ValueRequiredError
	)
	switch {
	case errors.As(err, &alone):
		return fmt.Errorf("--%s: its value is missing", alone.GetFlag().Name)
	case errors.As(err, &unknown):
		if strings.HasSuffix(unknown.GetSpecifiedName(), "token") {
			return errors.New("a token on the command line is seen by other programs and kept in the shell's history: use --token-file FILE, or --token-file - for standard input")
		}
		if near := nearestFlag(command, unknown.GetSpecifiedName()); near != "" {
			return fmt.Errorf("there is a flag that is not known: did you mean --%s?", near)
		}
	}
	return errors.New("there is a flag that is not known, or with a wrong value")
}

func (a *app) doctor(command *cobra.Command, flags *doctorFlags) error {
	options, err := a.doctorOptions(command, flags)
	if err != nil {
		return err
	}
	if command.Flags().Changed("token-file") {
		if options.Token, err = a.token(flags.tokenFile); err != nil {
			return ofFlag("--token-file", err)
		}
	}
	d, err := doctor.New(options)
	if err != nil {
		return fmt.Errorf("--host (BaseURL), --app-id (AppID), --app-id-header (AppIDHeader): %w", err)
	}
	defer d.Close()
	told := Doctor{Report: d.Examine(command.Context())}
	text := told.Text()
	if options.Token == "" && told.Good {
		text += "token: none: to learn more, give the access token of a user by --token-file FILE, or by --token-file - on standard input\n"
	}
	if flags.showHost { // asked for, so it is not taken out
		told.Address, told.AppID = d.Settings()
		text += fmt.Sprintf("address: %s\napp id: %s\n", told.Address, told.AppID)
	}
	if err := a.print(text, told); err != nil {
		return err
	}
	if !told.Good {
		return &failure{code: exitInvalid}
	}
	return nil
}

// doctorOptions reads the flags but the token. Its errors repeat nothing: a token may have
// been put into them.
func (a *app) doctorOptions(command *cobra.Command, flags *doctorFlags) (doctor.Options, error) {
	var errs []error
	o := doctor.Options{Config: flags.config}
	o.Config.BaseURL = cmp.Or(o.Config.BaseURL, a.Getenv("GENAUTH_HOST"))
	o.Config.AppID = cmp.Or(o.Config.AppID, a.Getenv("GENAUTH_APP_ID"))
	if o.Config.BaseURL == "" {
		errs = append(errs, errors.New("--host: give it, or set GENAUTH_HOST"))
	}
	if o.Config.AppID == "" {
		errs = append(errs, errors.New("--app-id: give it, or set GENAUTH_APP_ID"))
	}
	if command.Flags().Changed("enrolled") {
		o.Enrolled = []client.FactorType{}
		for _, name := range split(flags.enrolled) {
			switch t := client.FactorType(name).Normalize(); {
			case slices.Contains(factorTypes(), t):
				o.Enrolled = append(o.Enrolled, t)
			case !strings.EqualFold(name, none): // a misspelled type would read as "it was not enrolled"
				errs = append(errs, errors.New("--enrolled: there is a type that is not known: it lists OTP, SMS, EMAIL, FACE and PASSKEY, or none"))
			}
		}
		if !command.Flags().Changed("token-file") {
			errs = append(errs, errors.New("--enrolled: it is about the user of a token: give --token-file, too"))
		}
	}
	return o, errors.Join(errs...)
}

// token reads the first line of a file or, for "-", of standard input. Its errors repeat
// neither the line nor the name, which may be a token.
func (a *app) token(name string) (string, error) {
	if name == stdin {
		if f, ok := a.In.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
				_, _ = fmt.Fprintln(a.Err, "paste an access token, and press Enter")
			}
		}
		return tokenOf(a.In)
	}
	f, err := os.Open(name) //nolint:gosec // the user names it
	if err != nil {
		reason := err
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			reason = path.Err
		}
		return "", fmt.Errorf("the file cannot be read: %w; it takes the name of a file, or - for standard input, and not a token", reason)
	}
	defer func() { _ = f.Close() }()
	return tokenOf(f)
}

func tokenOf(in io.Reader) (string, error) {
	const most = client.MaxTokenBytes + 64 // "Bearer " and a line end
	line, err := bufio.NewReader(io.LimitReader(in, most)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", errors.New("what it names cannot be read")
	}
	token := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "Bearer "))
	switch {
	case token == "":
		return "", errors.New("its first line has no token")
	case !client.ValidToken(token):
		return "", errors.New("its first line is not a bearer token")
	}
	return token, nil
}
