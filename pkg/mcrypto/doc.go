// Package mcrypto is the arithmetic of Matter: chapter 3 of the Core
// Specification and the key derivations of chapter 4.
//
// It gives names and bounds to what the standard library does (ECDSA and ECDH
// on P-256, HKDF, PBKDF2, AES), takes AES-CCM and the P-256 group from small
// libraries, and adds SPAKE2+ in the form that Matter uses. Nothing here does
// I/O or keeps state between calls.
//
// Points, scalars and lengths that arrive as bytes are checked here, once: a
// point is in uncompressed form, on the curve and not the identity; a private
// scalar is in 1..n-1. Operations on secrets take time that does not depend on
// them. Errors never quote key material.
package mcrypto
