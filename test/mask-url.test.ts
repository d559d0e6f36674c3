import assert from 'node:assert/strict';
import {test} from 'node:test';
import {maskUrl} from '../source/text/mask-url.ts';

test('secrets in URLs are masked, other parameters are kept', () => {
	const url = 'https://cdn.example.org/v/film.mkv?token=abc&quality=hd&X-Amz-Signature=d';
	assert.equal(
		maskUrl(url, '•••'),
		'https://cdn.example.org/v/film.mkv?token=•••&quality=hd&X-Amz-Signature=•••',
	);
});

test('random-looking values are masked under any name, file names and numbers are kept', () => {
	const secrets = [
		'jwt=eyJh.b',
		'sid=1',
		'md5=x',
		't=9f86d081884c7d65',
		'hdnts=exp=1790000000~acl=/*~hmac=0a1b2c',
		'9f86d081884c7d659a2f',
	];
	for (const secret of secrets) {
		const [name = ''] = secret.split('=');
		const shown = secret.includes('=') ? `${name}=***` : '***';
		assert.equal(
			maskUrl(`https://a.example/f.mkv?v=1&${secret}#t=30`),
			`https://a.example/f.mkv?v=1&${shown}#t=30`,
		);
	}

	const open =
		'https://a.example/get?file=Big.Buck.Bunny.2160p.60fps.mkv&id=12345678901234567890&rate=900000#start';
	assert.equal(maskUrl(open), open);
});
