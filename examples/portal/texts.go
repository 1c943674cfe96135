package main

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/echomfa/echomfa"
	"golang.org/x/text/language"
)

// languages are those of the portal, the one for everybody else first. The enrollment
// pages speak them too.
var languages = []string{"en", "zh-CN"} //nolint:gochecknoglobals // it does not change

// languageOf returns the language of a request. The enrollment pages and the refusal
// pages ask for it as well, so that nobody changes languages on the way.
func languageOf(r *http.Request) string {
	wanted, _, _ := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	_, i, _ := language.NewMatcher([]language.Tag{language.English, language.SimplifiedChinese}).Match(wanted...)
	return languages[i]
}

// newTemplates returns the pages by language. What is a sentence or more is in a file
// of its language, and what is less in chinese.
func newTemplates(at func(string) string) (map[string]*template.Template, error) {
	pages := make(map[string]*template.Template)
	for _, lang := range languages {
		t := func(text string) string { return translated(lang, text) }
		var err error
		pages[lang], err = template.New("").Funcs(template.FuncMap{
			"at": at, "t": t, "factor": func(typ echomfa.FactorType) string { return t(factorName(typ)) },
		}).ParseFS(files, "pages/*.html", "pages/"+lang+"/*.html")
		if err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// translated returns a short text in a language.
func translated(lang, text string) string {
	if chinese, ok := chinese[text]; ok && lang == "zh-CN" {
		return chinese
	}
	return text
}

// policyName returns what a policy asks for, in a language: what somebody lacks who has
// nothing.
func policyName(lang string, p echomfa.Policy) string {
	var alternatives []string
	for _, types := range p.Evaluate(echomfa.FactorSet{}).Missing {
		var together []string
		for _, t := range types {
			together = append(together, translated(lang, factorName(t)))
		}
		alternatives = append(alternatives, strings.Join(together, translated(lang, " and ")))
	}
	return strings.Join(alternatives, translated(lang, " or "))
}

// chinese has the short texts. What it lacks is in English.
var chinese = map[string]string{ //nolint:gochecknoglobals,gosec // it does not change, and "Password" is a word
	"Welcome":                      "欢迎",
	"Sign in":                      "登录",
	"Sign out":                     "退出登录",
	"Account":                      "账户",
	"Your account":                 "您的账户",
	"Admin":                        "管理",
	"Demo phone":                   "演示手机",
	"Page not found":               "页面不存在",
	"That did not work":            "操作未成功",
	"Main":                         "主导航",
	"Signed in as":                 "已登录：",
	"User name":                    "用户名",
	"Password":                     "密码",
	"User":                         "用户",
	"Role":                         "角色",
	"Administrator":                "管理员",
	"Users of this demo":           "演示用户",
	"Verification methods":         "验证方式",
	"an authenticator app":         "身份验证器",
	"none yet":                     "尚未设置",
	"none":                         "无",
	"Remove":                       "移除",
	"Manage verification methods":  "管理验证方式",
	"You have not set up any yet.": "您尚未设置任何验证方式。",
	"You have set up what this page asks for.": "您已设置此页面要求的验证方式。",
	"Authenticator app":                        "身份验证器",
	"Text message":                             "短信",
	"E-mail":                                   "电子邮件",
	"Face":                                     "人脸",
	"Passkey":                                  "通行密钥",
	" and ":                                    "和",
	" or ":                                     "或",
	"The user name or the password is wrong.":                                               "用户名或密码错误。",
	"This app is not set up correctly: GenAuth does not know it. Please tell the operator.": "此应用的设置有误，GenAuth 无法识别。请联系管理员。",
	"GenAuth cannot be reached. Please try again in a moment.":                              "暂时无法连接 GenAuth，请稍后重试。",
	"Home":                              "首页",
	"There is nothing at this address.": "此地址没有内容。",
	"Please go back and try again.":     "请返回重试。",
}
