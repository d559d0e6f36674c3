// Remedies for errors in the terms of each client: flags on the command line, keys on the dashboard. Pure.
import {hasExpired, type DownloadError, type ErrorCode, type Remedy} from '../downstream.ts';

export type Client = 'cli' | 'dashboard';

type Failure = Pick<DownloadError, 'code' | 'status' | 'needs'>;

const remedyFlags: Readonly<Record<Remedy, string>> = {
	password: 'put them into the URL as user:password@, or use --netrc',
	token: 'give it with --header "Authorization: Bearer TOKEN"',
	'other-login': "use a link that works without a login, or pass a browser's cookie with --header",
	trust: '--ca names one to trust, --insecure trusts any',
};

const codeFlags: Partial<Record<ErrorCode, string>> = {
	'port-taken': '--port 0 takes any free port',
	'checksum-mismatch': 'another --checksum replaces it; to drop it, remove the download and add it again',
	'storage-locked': '--storage DIR uses another folder',
};

/** Completes the error's message. Undefined where the client can do nothing about the error. */
export function hintFor({code, status, needs}: Failure, client: Client): string | undefined {
	if (client === 'cli') {
		return needs === undefined ? codeFlags[code] : remedyFlags[needs];
	}

	if (code === 'origin-changed') {
		return 'r decide';
	}

	if (needs === 'trust') {
		// Trust is a setting of the whole run.
		return 'restart with --ca FILE or --insecure';
	}

	if (needs === 'password') {
		return 'U URL with user:password@';
	}

	// A new link may include the headers of a login.
	return hasExpired({code, status}) ? 'U new link' : 'r retry';
}

/** One line of a command's output. */
export function withHint(error: Failure & {readonly message: string}): string {
	const hint = hintFor(error, 'cli');
	return hint === undefined ? error.message : `${error.message}; ${hint}`;
}
