package main

const pages = `
{{define "head"}}<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Portal</title><style>
body{margin:0;font:1rem/1.5 system-ui,sans-serif;color:#1c1c1e;background:#f6f6f8}
header,main{max-width:40rem;margin:0 auto;padding:1rem 1.5rem}header{display:flex;gap:1rem;align-items:center}
main{background:#fff;border:1px solid #d9d9de;border-radius:.75rem}h1{margin-top:0}
label{display:block;margin:.75rem 0}input{display:block;width:100%;box-sizing:border-box;padding:.5rem;font:inherit}
button{padding:.5rem 1rem;font:inherit}[role=alert]{color:#a40000}
</style><header><strong>Portal</strong><a href="/">Home</a><a href="/account">Account</a><a href="/admin">Admin</a>
{{if .SignedIn}}<form method="post" action="/logout"><button>Sign out</button></form>{{else}}<a href="/login">Sign in</a>{{end}}</header><main>
{{with .Message}}<p role="alert">{{.}}</p>{{end}}{{end}}
{{define "home"}}{{template "head" .}}<h1>Portal</h1><p>This page is public. <a href="/admin">Admin</a> asks for: <code>{{.Policy}}</code>.</p></main>{{end}}
{{define "login"}}{{template "head" .}}<h1>Sign in</h1><form method="post" action="/login"><input type="hidden" name="return_to" value="{{.ReturnTo}}">
<label>User name<input name="username" autocomplete="username" required></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label><button>Sign in</button></form>
<p>With the built-in emulator: <code>alice</code> / <code>alice-password</code>, who has enrolled, or <code>bob</code> / <code>bob-password</code>, who has not.</p></main>{{end}}
{{define "account"}}{{template "head" .}}<h1>Your account</h1><h2>Enrolled factors</h2><ul>{{range .Factors}}<li>{{.}}</li>{{else}}<li>none</li>{{end}}</ul></main>{{end}}
{{define "admin"}}{{template "head" .}}<h1>Admin</h1><p>You have enrolled what this page asks for.</p></main>{{end}}
{{define "enroll"}}{{template "head" .}}<h1>One more factor is needed</h1><p>The page that you wanted asks for: <code>{{.Policy}}</code>.</p>
<p>Enroll it in your personal center at GenAuth, then:</p><form method="post" action="/mfa"><input type="hidden" name="return_to" value="{{.ReturnTo}}"><button>I have enrolled: go on</button></form></main>{{end}}
`
