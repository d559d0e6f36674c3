// A URL as it may be seen: no password, and no value of a parameter whose name tells of a secret.

/** The URL without its user, its password and the values of query and fragment parameters that sound secret. */
export function maskUrl(url: string, mask = '***'): string {
	return url
		.replace(/^([a-z][a-z\d+.-]*:\/\/)[^/?#\s]*@/i, `$1${mask}@`)
		.replace(/([?#&;])([^=?#&;\s]+)=([^#&;\s]*)/g, (parameter, separator: string, name: string) =>
			/token|sig|key|pass|pwd|auth|secret|credential/i.test(decoded(name))
				? `${separator}${name}=${mask}`
				: parameter,
		);
}

function decoded(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}
