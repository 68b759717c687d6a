package main

import (
	"regexp"
	"strings"
)

// words are names for which the rules below give unreadable results.
var words = map[string]string{
	"1_2AA":    "HalfAA",
	"Rate2_5G": "Rate2Point5G",
	"12hr":     "12Hr",
	"24hr":     "24Hr",
	"PERSONAL": "Personal",
}

var (
	separators = regexp.MustCompile(`[^A-Za-z0-9_]+`)
	word       = regexp.MustCompile(`[A-Z][a-z]+`)
)

// initialisms are words that Go writes in upper case.
var initialisms = map[string]string{
	"Id": "ID", "Ids": "IDs", "Url": "URL", "Led": "LED", "Ip": "IP", "Rssi": "RSSI", "Ssid": "SSID",
	"Pan": "PAN", "Fcs": "FCS", "Cca": "CCA", "Rms": "RMS", "Pin": "PIN", "Tv": "TV", "Utc": "UTC",
}

// goName converts a name of the specification to a Go name, or a part of one.
func goName(s string) string {
	s = strings.ReplaceAll(s, "Wi-Fi", "WiFi")
	s = strings.ReplaceAll(s, "PM2.5", "PM25")
	var b strings.Builder
	for _, part := range separators.Split(s, -1) {
		if part == "" {
			continue
		}
		if w, ok := words[part]; ok {
			part = w
		}
		part = strings.ReplaceAll(part, "_", "")
		part = strings.ToUpper(part[:1]) + part[1:]
		b.WriteString(word.ReplaceAllStringFunc(part, func(w string) string {
			if i, ok := initialisms[w]; ok {
				return i
			}
			return w
		}))
	}
	return b.String()
}

// typeName is goName without the suffix for the kind of type.
func typeName(s string) string {
	s = goName(s)
	for _, suffix := range []string{"Enum", "Bitmap"} {
		if t := strings.TrimSuffix(s, suffix); t != "" {
			s = t
		}
	}
	return s
}

// unexported converts the first word of a Go name to lower case.
func unexported(s string) string {
	i := 0
	for i < len(s) && s[i] >= 'A' && s[i] <= 'Z' {
		i++
	}
	if i > 1 && i < len(s) && s[i] >= 'a' && s[i] <= 'z' {
		i-- // the last capital begins the next word
	}
	return strings.ToLower(s[:i]) + s[i:]
}
