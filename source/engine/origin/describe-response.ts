// Reads name, type, size and validator of the file from the headers of a response. Pure.
import type {HttpResponse} from '../http/client.ts';
import type {OriginResponse} from './data-source.ts';
import {typeOf, isPage, baseType, fileName} from './file-info.ts';
import {isStrongDate} from './http-date.ts';
import type {Validator} from '../store/record.ts';

export function describe(
	url: URL,
	response: HttpResponse,
	size: number,
): Pick<OriginResponse, 'info' | 'validator' | 'place' | 'isPage'> {
	const contentType = response.headers.get('content-type');
	const name = nameOf(url, response);
	return {
		info: {name, type: typeOf({contentType, name}), size},
		validator: validatorOf(response),
		place: url.origin + url.pathname,
		isPage: isPage(baseType(contentType), size),
	};
}

export function nameOf(url: URL, {headers}: HttpResponse): string {
	return fileName({
		contentDisposition: headers.get('content-disposition'),
		url,
		type: headers.get('content-type'),
	});
}

/** RFC 9110 sections 8.8.2 and 8.8.3. */
function validatorOf(response: HttpResponse): Validator {
	const etag = response.headers.get('etag');
	const lastModified = response.headers.get('last-modified');
	const hasStrongDate = isStrongDate(lastModified, response.headers.get('date'));
	return {
		...(etag !== undefined && /^"[^"]*"$/.test(etag) ? {etag} : {}),
		...(etag !== undefined && /^W\/"[^"]*"$/i.test(etag) ? {weakEtag: etag} : {}),
		...(lastModified === undefined ? {} : {lastModified}),
		...(hasStrongDate && {hasStrongDate}),
	};
}
