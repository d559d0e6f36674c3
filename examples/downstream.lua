-- Plays http(s) media through a running downstream-tui, which caches the bytes and completes the file.
-- Copy it into ~/.config/mpv/scripts/, or: mpv --script=downstream.lua https://example.com/film.mkv
local options = {
	-- The program, and its storage folder if it is not the default.
	command = 'downstream-tui',
	storage = '',
	-- mpv opens other URLs itself, such as pages for yt-dlp.
	extensions = 'mkv,mp4,m4v,webm,mov,avi,ts,mp3,m4a,flac,ogg,opus,wav',
}
require('mp.options').read_options(options, 'downstream')
local utils = require('mp.utils')

local function is_media(url)
	local extension = (url:match('^https?://[^?#]*%.(%w+)') or ''):lower()
	return (',' .. options.extensions .. ','):find(',' .. extension .. ',', 1, true) ~= nil
		and not url:match('^http://127%.0%.0%.1:%d+/stream/')
end

-- Runs before ytdl_hook (priority 10).
mp.add_hook('on_load', 5, function()
	local url = mp.get_property('stream-open-filename')
	if not is_media(url) then return end
	local args = {options.command, 'add', '--json', url}
	if options.storage ~= '' then args = {options.command, 'add', '--json', '--storage', options.storage, url} end
	local result = mp.command_native({
		name = 'subprocess',
		args = args,
		capture_stdout = true,
		capture_stderr = true,
	})
	local download = utils.parse_json(result.stdout or '')
	if download and download.streamUrl then
		mp.msg.info('playing ' .. download.streamUrl)
		mp.set_property('stream-open-filename', download.streamUrl)
	else
		mp.msg.warn('playing without downstream-tui: ' .. (result.stderr or ''))
	end
end)
