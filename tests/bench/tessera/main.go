// Command tessera appends entries to a Tessera log on a POSIX file system and says how fast.
//
//	tessera FOLDER COUNT SIZE BATCH
//
// COUNT random entries of SIZE bytes, as fast as they are taken; the last one must be under a
// published checkpoint, which comes each second. It prints the seconds that this took.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	folder, count, size, batch := os.Args[1], number(2), number(3), number(4)
	ctx := context.Background()
	key, _, err := note.GenerateKey(rand.Reader, "bench.example/log")
	check(err)
	signer, err := note.NewSigner(key)
	check(err)
	driver, err := posix.New(ctx, posix.Config{Path: folder})
	check(err)
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(uint(batch), 100*time.Millisecond).
		WithPushback(uint(count) + 1).
		WithCheckpointInterval(time.Second)
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	check(err)
	published := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 10*time.Millisecond)

	entries := make([]*tessera.Entry, count)
	for i := range entries {
		data := make([]byte, size)
		_, err := rand.Read(data)
		check(err)
		entries[i] = tessera.NewEntry(data)
	}
	started := time.Now()
	futures := make([]tessera.IndexFuture, count)
	for i, entry := range entries {
		futures[i] = appender.Add(ctx, entry)
	}
	for _, future := range futures {
		_, err := future()
		check(err)
	}
	_, _, err = published.Await(ctx, futures[count-1])
	check(err)
	fmt.Printf("%f\n", time.Since(started).Seconds())
	check(shutdown(ctx))
}

func number(place int) int {
	found, err := strconv.Atoi(os.Args[place])
	check(err)
	return found
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
