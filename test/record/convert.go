package main

func convertAll(raw string) error { return nil }
