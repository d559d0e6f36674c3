#!/bin/sh
# Turns a page into the link of its film and the request headers for it:
#   downstream-tui --resolve-with examples/yt-dlp.sh https://example.com/watch
# The instance runs this script again when the link expires.
exec yt-dlp --quiet --no-warnings --no-playlist --format 'best[protocol^=http]' --dump-json -- "$1"
