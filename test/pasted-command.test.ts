import assert from 'node:assert/strict';
import {test} from 'node:test';
import {
	isUnfinishedCommand,
	parsePastedCommand,
	type PastedCommand,
} from '../source/requests/pasted-command.ts';

/** The parsed command without empty fields. */
function parsed(text: string): Partial<PastedCommand> {
	const command = parsePastedCommand(text);
	assert.ok(command, text);
	return Object.fromEntries(
		Object.entries(command).filter(
			([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
		),
	);
}

const lines = (...all: string[]) => all.join('\r\n');

const powershell = lines(
	'$session = New-Object Microsoft.PowerShell.Commands.WebRequestSession',
	'$session.UserAgent = "Mozilla/5.0 (X11)"',
	'$session.Cookies.Add((New-Object System.Net.Cookie("a", "b`"c", "/", ".a.example")))',
	'$session.Cookies.Add((New-Object System.Net.Cookie("d", "caf$([char]233)", "/", "a.example")))',
	'Invoke-WebRequest -UseBasicParsing -Uri "https://a.example/f?x=1&y=`$2" `',
	'-WebSession $session `',
	'-Headers @{',
	'"authority"="a.example"',
	'  "method"="GET"',
	'  "path"="/f"',
	'  "scheme"="https"',
	'  "accept-encoding"="gzip, deflate"',
	'  "X-Id"="1; 2"',
	'}',
);

const taken: Array<[what: string, text: string, expected: Partial<PastedCommand>]> = [
	[
		'# begins a comment only before a word',
		'curl -# http://a/f#t=1 -H X-Id:a#b # and more',
		{urls: ['http://a/f#t=1'], headers: ['X-Id: a#b']},
	],
	[
		'letters of switches together with a value at their end',
		"curl -sSLo films/a.mkv -C - --retry 3 --max-redirs 5 -m10 -HX:1 'http://a/f'",
		{urls: ['http://a/f'], headers: ['X: 1'], name: 'a.mkv'},
	],
	[
		'-G makes a query of data',
		"curl -G -d a=1 --data-urlencode 'q=x y&z' --data-urlencode '=1+1' 'http://a/f?b=2#t'",
		{urls: ['http://a/f?b=2&a=1&q=x%20y%26z&1%2B1#t']},
	],
	['--get after its data', 'curl http://a/f -d a=1 --get', {urls: ['http://a/f?a=1']}],
	[
		'--url-query',
		"curl http://a/f --url-query 'q=ä' --url-query +r=%41",
		{urls: ['http://a/f?q=%C3%A4&r=%41']},
	],
	[
		'an unquoted URL with a query',
		'curl http://a/f?x=1&y=(2);z -H "Cookie: a=b"',
		{urls: ['http://a/f?x=1&y=(2);z'], headers: ['Cookie: a=b']},
	],
	[
		'an unquoted URL with parameters of its path',
		'curl http://a/f;v=1/g&h=2 2>&1',
		{urls: ['http://a/f;v=1/g&h=2']},
	],
	[
		'repeated headers are joined, and written ones win over options',
		"curl a.example/f -H 'X: 1' -H 'x: 2' -b a=b -b c=d -H 'Referer: http://r/' -e http://s/ -A Agent",
		{
			urls: ['http://a.example/f'],
			headers: ['X: 1, 2', 'Referer: http://r/', 'Cookie: a=b; c=d'],
			userAgent: 'Agent',
		},
	],
	[
		'headers of the request itself are left to the program',
		"curl http://a/f -H 'Host: A' -H ':authority: a' -H 'If-None-Match: x' -H 'TE: trailers' -H 'Accept:' -H 'X-Empty;'",
		{urls: ['http://a/f'], headers: ['X-Empty: ']},
	],
	[
		'a URL on the next line after values that look like one',
		'curl -o films.example/a.mkv -A http://agent/\nhttp://a/f',
		{urls: ['http://a/f'], name: 'a.mkv', userAgent: 'http://agent/'},
	],
	['escaped brackets', String.raw`curl 'http://a/\[x\]\{1\}.mkv'`, {urls: ['http://a/[x]{1}.mkv']}],
	['brackets that are no range', "curl -g 'http://[::1]:8080/[1-3]'", {urls: ['http://[::1]:8080/[1-3]']}],
	[
		'proxies',
		'curl --socks5-hostname p:1080 -U u:v http://a/f',
		{urls: ['http://a/f'], proxy: 'socks5h://u:v@p:1080'},
	],
	['no proxy', "curl -x '' http://a/f", {urls: ['http://a/f'], proxy: 'direct'}],
	[
		'a token',
		'curl --oauth2-bearer t http://a/f -o /dev/null',
		{urls: ['http://a/f'], headers: ['Authorization: Bearer t']},
	],
	['a file that the shell writes', 'curl http://a/f > "a b.mkv"', {urls: ['http://a/f'], name: 'a b.mkv'}],
	[
		'escapes of bash',
		String.raw`curl $'http://a/f' -H $'X: it\'s\u0021 \x41\101\t.'`,
		{urls: ['http://a/f'], headers: ["X: it's! AA\t."]},
	],
	[
		'a prompt, a path and a terminal that pastes CR',
		'$ /usr/bin/curl \\\r http://a/f',
		{urls: ['http://a/f']},
	],
	['one of several copied together', "curl 'http://a/f' ;", {urls: ['http://a/f']}],
	[
		'cmd, with quotes inside a value',
		String.raw`curl ^"http://a/f?x=1^&y=%^202^" ^` +
			'\r\n' +
			String.raw`  -H ^"If: a=^\^"b^\^"; c^" --compressed &`,
		{urls: ['http://a/f?x=1&y=%202'], headers: ['If: a="b"; c']},
	],
	[
		'cmd, on one line and without quotes',
		String.raw`curl http://a/f?x=1^&y=2^^ -H "X: ^& 'a'" > f.mkv`,
		{urls: ['http://a/f?x=1&y=2^'], headers: ["X: ^& 'a'"], name: 'f.mkv'},
	],
	[
		'carets in the quotes of a POSIX shell',
		String.raw`curl 'http://a/f?x=1^&y=2' -H "X: ^|" -H 'Y: '`,
		{urls: ['http://a/f?x=1^&y=2'], headers: ['X: ^|', String.raw`Y: `]},
	],
	[
		'cmd, as browsers quoted before',
		lines('curl "http://a/f^x" ^', '  -H "X: a""b^c"'),
		{urls: ['http://a/f^x'], headers: ['X: a"b^c']},
	],
	[
		'wget',
		"wget -nc -c --header='X: 1' -U Agent --referer=http://r/ --user=me --password=p:w -P films -O a.mkv http://a/f",
		{
			urls: ['http://a/f'],
			headers: ['X: 1', 'Referer: http://r/', 'Authorization: Basic bWU6cDp3'],
			userAgent: 'Agent',
			name: 'a.mkv',
		},
	],
	[
		'wget through a proxy',
		'wget -e use_proxy=yes -e https_proxy=p:1 --proxy-user=u --proxy-password=v https://a/f https://a/g',
		{urls: ['https://a/f', 'https://a/g'], proxy: 'http://u:v@p:1'},
	],
	[
		'aria2c',
		"aria2c -x16 -s 16 -k1M --out=a.mkv --header='Cookie: a=b' --checksum=sha-256=abcd --all-proxy=p:1 http://a/f",
		{
			urls: ['http://a/f'],
			headers: ['Cookie: a=b'],
			name: 'a.mkv',
			connections: 16,
			checksum: 'sha256:abcd',
			proxy: 'http://p:1',
		},
	],
	[
		'PowerShell with a session',
		powershell,
		{
			urls: ['https://a.example/f?x=1&y=$2'],
			headers: ['X-Id: 1; 2', 'Cookie: a=b"c; d=café'],
			userAgent: 'Mozilla/5.0 (X11)',
		},
	],
	[
		'PowerShell in one line',
		"iwr https://a/f?x=1 -OutFile 'C:\\films\\a.mkv' -Headers @{Cookie='a=b'; 'X'='it''s'} -UserAgent:z",
		{urls: ['https://a/f?x=1'], headers: ['Cookie: a=b', "X: it's"], userAgent: 'z', name: 'a.mkv'},
	],
	[
		'fetch()',
		'await fetch("https://a/f", {\n  "headers": {"cookie": "a=b"},\n  "referrer": "https://r/",\n  "body": null,\n  "method": "GET"\n});',
		{urls: ['https://a/f'], headers: ['cookie: a=b', 'Referer: https://r/']},
	],
	...[
		'2>/dev/null',
		'2> /dev/null',
		'2>&1',
		'2>>"my log"',
		'> /dev/null 2>&1',
		'&> /dev/null',
		'>& /dev/null',
		'2>&-',
		'2>$LOG',
		'< /dev/null',
		'3<>x',
		'{fd}>x',
		'2>nul',
		'*>$null',
		';',
		'&',
		'2>&1 &',
	].map((rest): [string, string, Partial<PastedCommand>] => [
		`a redirection or an end that changes nothing: ${rest}`,
		`curl -sS http://a/f ${rest}`,
		{urls: ['http://a/f']},
	]),
	...[
		'>out.mkv',
		'> out.mkv',
		'1>out.mkv',
		'>> films/out.mkv',
		'>|out.mkv',
		'&>out.mkv',
		'>& out.mkv',
		'2>log >out.mkv',
		'>out.mkv 2>&1',
		'>first >out.mkv',
		'| tee out.mkv',
		'2>/dev/null | tee -a out.mkv > /dev/null',
		'|& /usr/bin/tee out.mkv;',
		'>out.mkv | tee log',
	].map((rest): [string, string, Partial<PastedCommand>] => [
		`the file that a shell writes: ${rest}`,
		`curl -sS http://a/f?x=2${/^\d/.test(rest) ? ' ' : ''}${rest}`,
		{urls: ['http://a/f?x=2'], name: 'out.mkv'},
	]),
	['a log of curl that writes a file', 'curl -O http://a/f >log 2>&1', {urls: ['http://a/f']}],
	['a name beside a log', 'curl -o a.mkv http://a/f | tee log', {urls: ['http://a/f'], name: 'a.mkv'}],
	['wget with its log sent elsewhere', 'wget -c http://a/f >log 2>/dev/null', {urls: ['http://a/f']}],
	[
		'wget on standard output',
		'wget -qO- http://a/f 2>/dev/null >a.mkv',
		{urls: ['http://a/f'], name: 'a.mkv'},
	],
	['aria2c in the background', 'aria2c -x4 http://a/f &>aria2.log &', {urls: ['http://a/f'], connections: 4}],
	[
		'cmd with redirections',
		lines('curl "http://a/f?x=1&y=2" ^', ' -H "X: 1>2" > a.mkv 2>nul'),
		{urls: ['http://a/f?x=1&y=2'], headers: ['X: 1>2'], name: 'a.mkv'},
	],
	[
		'cmd with errors beside the file',
		'curl ^"http://a/f^" 1>a.mkv 2>&1',
		{urls: ['http://a/f'], name: 'a.mkv'},
	],
	['cmd with an unquoted URL', 'curl ^"-L^" http://a/f?x=1&y=2 2>nul', {urls: ['http://a/f?x=1&y=2']}],
	...['2>$null', '2> $null', '*>&1', '*> $null', '3>&1 2>log', '| Out-Null', '> $null'].map(
		(rest): [string, string, Partial<PastedCommand>] => [
			`PowerShell with ${rest}`,
			`iwr -Uri http://a/f ${rest}`,
			{urls: ['http://a/f']},
		],
	),
	...['>a.mkv', '> films\\a.mkv', '| Tee-Object -FilePath a.mkv', '| tee "a.mkv"'].map(
		(rest): [string, string, Partial<PastedCommand>] => [
			`PowerShell with ${rest}`,
			`iwr http://a/f ${rest}`,
			{urls: ['http://a/f'], name: 'a.mkv'},
		],
	),
	['fetch() of a URL alone', 'fetch("https://a/f")', {urls: ['https://a/f']}],
];

for (const [what, text, expected] of taken) {
	test(`accepted: ${what}`, () => {
		assert.deepEqual(parsed(text), expected);
	});
}

const refused: Array<[text: string, problem: RegExp]> = [
	['curl', /has no URL/],
	['curl -G --data-urlencode q@file http://a/f', /reads the data of --data-urlencode from a file/],
	['curl --json {} http://a/f', /sends data/],
	['curl -T file http://a/f', /sends data/],
	['curl -b cookies.txt http://a/f', /reads cookies from a file/],
	['curl -H @headers http://a/f', /reads headers from a file/],
	["curl -H 'nonsense' http://a/f", /has a header that is not written 'Name: value'/],
	["curl -H 'Host: b' http://a/f", /has a Host header that differs from its URL/],
	['curl -r 0-99 http://a/f', /requests a part of the file with -r/],
	['curl -n http://a/f', /has -n, which is not supported here/],
	['curl --cert me.pem http://a/f', /has --cert, which is not supported here/],
	['curl -u me http://a/f', /has a user without a password/],
	['curl "http://a/[1-3].mkv"', /for several URLs/],
	['curl "http://a/{b,c}"', /for several URLs/],
	['curl -o a -o b http://a/f http://a/g', /names several files/],
	['curl http://a/f --next -H X:1 http://a/g', /has --next/],
	['curl -H "Authorization: Bearer $TOKEN" http://a/f', /has \$TOKEN, which only your shell can expand/],
	['curl -H "X: $(cat x)" http://a/f', /has \$\(cat x\), which only your shell can expand/],
	['curl http://a/f | tar x', /continues after \|/],
	['curl http://a/f && echo', /continues after &&/],
	['curl http://a/f&&tar xf f', /continues after &&/],
	['curl -O http://a/f || echo no', /continues after \|\|/],
	['curl http://a/f;tar xf f', /continues after ;/],
	['curl http://a/f&tar xf f', /continues after &/],
	['curl http://a/f ; tar xf f', /continues after ;/],
	["curl 'http://a/f';tar xf f", /continues after ;/],
	['curl http://a/f & tail -f log', /continues after &/],
	['curl http://a/f 2>/dev/null | tar x', /continues after \|/],
	['curl http://a/f | tee a | tar x', /continues after \|/],
	['curl http://a/f > >(cat)', /continues after \(/],
	['curl http://a/f >f\ntar xf f', /continues after its line/],
	['curl http://a/f\ntar xf f', /continues after its line/],
	["curl -H 'Cookie: a=b' 'http://a/f'\nhttp://b/f", /continues after its line/],
	["curl 'http://a/f' -H 'Cookie: a=b'\n'http://b/f'", /continues after its line/],
	['curl ^"http://a/f^" -H ^"Cookie: a=b^"\nhttp://b/f', /continues after its line/],
	["wget --header 'Cookie: a=b' http://a/f\nhttp://b/f", /continues after its line/],
	['curl -b a=b a.example/f\nhttp://b/f', /continues after its line/],
	["curl -OL 'a.example/f' -H 'X: 1'\n'http://b/f'", /continues after its line/],
	['curl ^"a.example/f^" -b ^"a=b^"\nhttp://b/f', /continues after its line/],
	['wget a.example/f\nhttp://b/f', /continues after its line/],
	['aria2c -x4 a.example/f\nhttp://b/f', /continues after its line/],
	['curl --cert a.pem\nhttp://b/f', /has --cert, which is not supported here/],
	['curl http://a/f > "$OUT"', /has \$OUT, which only your shell can expand/],
	['curl -K - http://a/f <<EOF\nurl=x\nEOF', /continues after <</],
	['curl ^"http://a/f^" > a && tar xf a', /continues after &&/],
	['curl ^"http://a/f^" | more', /continues after \|/],
	['iwr http://a/f -OutFile a; tar xf a', /contains more than one plain Invoke-WebRequest/],
	["curl 'http://a/f", /has an unclosed quote/],
	["curl 'http://a/1' ;\ncurl 'http://a/2'", /is followed by another command/],
	['wget --post-data=x http://a/', /this wget command sends data/],
	['wget --load-cookies c http://a/', /has --load-cookies/],
	['wget -r http://a/', /has -r/],
	['wget -i list', /has -i/],
	['aria2c http://a/f http://b/f', /has several URLs of one file/],
	['Invoke-WebRequest -Uri "http://a/" -Method "POST" -Body "x"', /this PowerShell command sends data/],
	['iwr http://a/ -Credential $c', /has -Credential/],
	['iwr http://a/ | Out-File x', /contains more than one plain Invoke-WebRequest/],
	['$s = New-Object Foo; iwr http://a/', /contains more than one plain Invoke-WebRequest/],
	['iwr http://a/ -Headers $headers', /has headers in a form other than @\{"Name"="value"\}/],
	['fetch("http://a/", {"method": "POST", "body": "x"})', /this fetch\(\) sends data/],
	['fetch(url, {headers})', /differs from the form that browsers copy/],
];

for (const [text, problem] of refused) {
	test(`refused: ${text}`, () => {
		assert.match(parsePastedCommand(text)?.problem ?? '', problem);
	});
}

test('other text is not a command', () => {
	for (const text of [
		'',
		'http://a/curl b',
		'curling http://a',
		'add curl http://a/',
		'fetch it',
		'wgetx a',
	]) {
		assert.equal(parsePastedCommand(text), undefined, text);
	}
});

test('no error quotes a header or password', () => {
	for (const text of [
		"curl -H 'X geheim' http://a/",
		'curl -u geheim http://a/',
		"curl -H 'Authorization: geheim' --cert x http://a/",
	]) {
		assert.doesNotMatch(parsePastedCommand(text)?.problem ?? '', /geheim/);
	}
});

test('a command continues on the next line while a quote or bracket is open', () => {
	for (const text of [
		powershell,
		"curl 'a' \\\n -H 'X: 1\n2'",
		'curl ^"a^" ^\n -L',
		'fetch("a", {\n"b": 1\n});',
	]) {
		const all = text.split(/\r?\n/);
		for (let count = 1; count < all.length; count++) {
			assert.equal(isUnfinishedCommand(all.slice(0, count).join('\n')), true, all[count - 1]);
		}

		assert.equal(isUnfinishedCommand(text), false, text);
	}

	assert.equal(isUnfinishedCommand("http://a/it's"), false);
});
