// Package mcrypto implements the cryptography of Matter: chapter 3 of the Core
// Specification and the key derivations of chapter 4.
//
// It adapts the standard library (ECDSA and ECDH on P-256, HKDF, PBKDF2, AES) to
// Matter's names and limits, uses small libraries for AES-CCM and the P-256 group,
// and implements SPAKE2+ in the form that Matter uses. Nothing here does I/O or
// keeps state between calls.
//
// Points, scalars and lengths that arrive as bytes are checked here and nowhere
// else. A point must be in uncompressed form, on the curve and not the identity. A
// private scalar must be in 1..n-1. Operations on secrets take constant time.
// Errors never contain key material.
package mcrypto
