package main

import (
	"regexp"
	"strings"
)

// words that the rules below would make unreadable.
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

// initialisms are words that Go writes in capitals.
var initialisms = map[string]string{
	"Id": "ID", "Ids": "IDs", "Url": "URL", "Led": "LED", "Ip": "IP", "Rssi": "RSSI", "Ssid": "SSID",
	"Pan": "PAN", "Fcs": "FCS", "Cca": "CCA", "Rms": "RMS", "Pin": "PIN", "Tv": "TV", "Utc": "UTC",
}

// goName makes a Go name, or a part of one, of a name of the specification.
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

// typeName is goName without the suffix that says what kind of type it is.
func typeName(s string) string {
	s = goName(s)
	for _, suffix := range []string{"Enum", "Bitmap"} {
		if t := strings.TrimSuffix(s, suffix); t != "" {
			s = t
		}
	}
	return s
}

// unexported lowers the first word of a Go name.
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
