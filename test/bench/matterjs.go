package main

func (b *bench) matterJS() error { return nil }
