// Doctor tells whether the settings for GenAuth are right, and how this GenAuth
// behaves where its documents leave a point open.
//
//	doctor [-host URL] [-app-id ID] [-app-id-header NAME] [-enrolled TYPES] [-show-host] < token
//
// GENAUTH_HOST and GENAUTH_APP_ID stand for the first two. The access token of a
// user comes from standard input, never from the command line or the environment,
// where other programs of the machine can read it.
//
// What it prints is made to be pasted into a report: no token, no subject, no
// profile, no number or address, and, without -show-host, neither the address nor
// the application.
//
// The exit status is 0 if GenAuth knows the application and answers for the token,
// and echomfa takes the token too, 1 if not, and 2 if the program was called in a
// wrong way.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/echomfa/echomfa/client"
)

const (
	exitGood  = 0
	exitBad   = 1
	exitUsage = 2
)

const usage = `usage: doctor [-host URL] [-app-id ID] [-app-id-header NAME] [-enrolled TYPES] [-show-host] < token

  -host           GenAuth's authentication address of the app, or GENAUTH_HOST
  -app-id         the app id, or GENAUTH_APP_ID
  -app-id-header  the name of the header for it, if a deployment renames it
  -enrolled       what the user of the token has enrolled, such as OTP,FACE; "none" for nothing
  -show-host      print the address and the app id too

The first line of standard input is the access token of a user.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		_, _ = fmt.Fprintln(os.Stderr, "doctor: paste an access token, and press Enter")
	}
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are what the program is asked to do.
type options struct {
	config   client.Config
	enrolled []string // nil if it was not said
	showHost bool
}

// run is the program. It returns the exit status.
func run(ctx context.Context, args []string, getenv func(string) string, in io.Reader, out, errOut io.Writer) int {
	o, err := readOptions(args, getenv)
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "doctor: "+err.Error()+"\n\n"+usage)
		return exitUsage
	}
	token, err := readTokenUntil(ctx, in)
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "doctor:", err)
		return exitUsage
	}
	d, err := newDoctor(o, token)
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "doctor:", err) // the client's errors quote no setting
		return exitUsage
	}
	defer d.close()
	good := d.examine(ctx)
	for _, line := range d.lines {
		_, _ = fmt.Fprintln(out, d.secrets.clean(line))
	}
	if o.showHost { // asked for, so it is not cleaned
		_, _ = fmt.Fprintf(out, "address: %s\napp id: %s\n", d.client.BaseURL(), d.client.AppID())
	}
	if !good {
		return exitBad
	}
	return exitGood
}

// readOptions reads the flags. Its errors quote nothing: a token may have been put
// among them by mistake.
func readOptions(args []string, getenv func(string) string) (options, error) {
	var o options
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.config.BaseURL, "host", "", "")
	flags.StringVar(&o.config.AppID, "app-id", "", "")
	flags.StringVar(&o.config.AppIDHeader, "app-id-header", "", "")
	enrolled := flags.String("enrolled", "", "")
	flags.BoolVar(&o.showHost, "show-host", false, "")
	if err := flags.Parse(args); err != nil {
		return options{}, errors.New("there is a flag that is not known, or without its value")
	}
	if flags.NArg() > 0 {
		return options{}, errors.New("there is an argument; the token comes from standard input")
	}
	o.config.BaseURL = cmp.Or(o.config.BaseURL, getenv("GENAUTH_HOST"))
	o.config.AppID = cmp.Or(o.config.AppID, getenv("GENAUTH_APP_ID"))
	if o.config.BaseURL == "" || o.config.AppID == "" {
		return options{}, errors.New("the settings are missing: set GENAUTH_HOST (BaseURL) and GENAUTH_APP_ID (AppID), or -host and -app-id")
	}
	if *enrolled != "" {
		o.enrolled = []string{}
		for name := range strings.SplitSeq(*enrolled, ",") {
			if name = strings.TrimSpace(name); name != "" && !strings.EqualFold(name, "none") {
				o.enrolled = append(o.enrolled, string(client.FactorType(name).Normalize()))
			}
		}
		// A misspelled type would read as "it was not enrolled".
		for _, name := range o.enrolled {
			if !slices.Contains([]client.FactorType{client.OTP, client.SMS, client.Email, client.Face, client.Passkey}, client.FactorType(name)) {
				return options{}, errors.New("-enrolled has a type that is not known: it lists OTP, SMS, EMAIL, FACE and PASSKEY, or none")
			}
		}
	}
	return o, nil
}

// readTokenUntil is readToken that ends with ctx: reading standard input does not,
// and the signals that end ctx no longer end the program by themselves.
func readTokenUntil(ctx context.Context, in io.Reader) (string, error) {
	type result struct {
		token string
		err   error
	}
	read := make(chan result, 1)
	go func() { // it ends with the program
		token, err := readToken(in)
		read <- result{token, err}
	}()
	select {
	case r := <-read:
		return r.token, r.err
	case <-ctx.Done():
		return "", errors.New("the program was ended")
	}
}

// readToken reads the first line. Its errors quote nothing of it.
func readToken(in io.Reader) (string, error) {
	const most = client.MaxTokenBytes + 64 // "Bearer " and a line end
	line, err := bufio.NewReader(io.LimitReader(in, most)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", errors.New("standard input cannot be read")
	}
	token := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "Bearer "))
	switch {
	case token == "":
		return "", errors.New("there is no token on standard input")
	case !client.ValidToken(token):
		return "", errors.New("what is on standard input is not a bearer token")
	}
	return token, nil
}
