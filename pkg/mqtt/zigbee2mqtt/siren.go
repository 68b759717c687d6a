package zigbee2mqtt

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// Names of what makes a device sound, and words for sirens. With other words, an
// alarm_switch is a setting.
var (
	sirenNames = reader.NewPattern(`^(?:alarm|alarm_state|alarm_switch|siren_on|warning)$`)
	sirens     = reader.NewPattern(`(?i)\bsirens?\b|\balarm\b`)
)

// soundsFor is how long a siren sounds that must be given a time. Many stop earlier by
// themselves.
const soundsFor = time.Minute

// isSiren reports whether an expose may be a siren, and keeps it for later. A device that
// does something else as well has a buzzer, which is no load.
func (b *builder) isSiren(e *expose) bool {
	on, off := sirenWords(e)
	if !sirenNames.MatchString(e.Name) || e.Type != "binary" && e.Name != "warning" && (on == "" || off == "") || !e.settable() || e.Category != "" || e.Property == "" ||
		b.d == nil || !sirens.MatchString(b.d.Definition.Description) {
		return false
	}
	b.sirens = append(b.sirens, e)
	return true
}

// sirenWords returns the words of an enum with which a siren sounds as loud as it can, and
// with which it stops; empty if there are none.
func sirenWords(e *expose) (on, off string) {
	first := func(words ...string) string {
		for _, w := range words {
			if e.Type == "enum" && e.has(w) {
				return w
			}
		}
		return ""
	}
	return first("alarm_sound_light", "alarm_sound", "ring"), first("normal", "stop")
}

// siren adds a siren as a plug, as Matter has no type for it.
func (b *builder) siren() {
	if len(b.sirens) == 0 {
		return
	}
	other := slices.ContainsFunc(b.Parts, func(p *reader.Draft) bool {
		return p.Rank != reader.RankTemperature && p.Rank != reader.RankHumidity
	})
	best := b.sirens[0]
	for _, e := range b.sirens[1:] { // one that has a state is better
		if !best.published() && e.published() {
			best = e
		}
	}
	for _, e := range b.sirens {
		switch {
		case other:
			b.Leave(reader.NoType("the buzzer of a device is not shown"), e.Name)
		case e != best:
			b.Leave(reader.Twice, e.Name)
		}
	}
	switch {
	case other:
	case best.Type == "binary" && best.published():
		b.onOff(b.sirenPart(), best, "on")
	case best.Type == "binary":
		b.warn(best, best.value(true), best.value(false))
	case best.Type == "enum":
		b.worded(best)
	default:
		b.warning(best)
	}
}

// sirenPart adds the part of a siren and returns its id.
func (b *builder) sirenPart() string { return b.Add(reader.RankPlug, "on_off_plug", "siren", "").ID }

// worded adds a siren whose state is one of some words.
func (b *builder) worded(e *expose) {
	on, off := sirenWords(e)
	part := b.sirenPart()
	b.bind(e, part, func(_ *thing, v any, out device.Values) {
		if w, ok := word(v); ok && e.has(w) {
			out["on"] = device.Bool(w != off)
		}
	})
	b.t.handlers[part] = switchTo("on", e.Property, on, off)
}

// warn adds a siren that has no state.
func (b *builder) warn(e *expose, on, off any) {
	part := b.sirenPart()
	b.t.warning = part
	b.t.handlers[part] = switchTo("on", e.Property, on, off)
}

// warning adds a siren that is given a mode and a time, and has no state.
func (b *builder) warning(e *expose) {
	mode := e.feature("mode")
	if mode == nil || !mode.has("stop") {
		b.Leave(reader.Unreadable("its values are not those of a siren"), e.Name)
		return
	}
	b.warn(e, sounds(e, mode), map[string]any{"mode": "stop"})
}

// sounds returns the value that makes a siren sound.
func sounds(e, mode *expose) map[string]any {
	loud := map[string]any{"duration": int(soundsFor / time.Second)}
	for _, word := range append([]string{"emergency", "burglar"}, mode.words()...) {
		if word != "stop" && mode.has(word) {
			loud["mode"] = word
			break
		}
	}
	if level := e.feature("level"); level != nil && level.has("high") {
		loud["level"] = "high"
	}
	if e.feature("strobe") != nil {
		loud["strobe"] = true
	}
	return loud
}

// sound shows that a siren without a state was switched, and that it stops.
func (r *Reader) sound(now time.Time, t *thing, c device.Command) {
	on, ok := c.Set["on"].Bool()
	if !ok {
		return
	}
	t.silentAt = time.Time{}
	if on {
		t.silentAt = now.Add(soundsFor)
		if r.silentAt.IsZero() {
			r.silentAt = t.silentAt
		}
	}
	r.sink.Report(t.id, t.warning, device.Values{"on": device.Bool(on)})
}

// silence shows the sirens as off that have stopped by now.
func (r *Reader) silence(now time.Time) {
	if r.silentAt.IsZero() || now.Before(r.silentAt) {
		return
	}
	r.silentAt = time.Time{}
	for _, t := range r.things {
		switch {
		case t.silentAt.IsZero():
		case !now.Before(t.silentAt):
			t.silentAt = time.Time{}
			r.sink.Report(t.id, t.warning, device.Values{"on": device.Bool(false)})
		case r.silentAt.IsZero() || t.silentAt.Before(r.silentAt):
			r.silentAt = t.silentAt
		}
	}
}
