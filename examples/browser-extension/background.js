// Adds the link or media under the pointer to a running downstream-tui; the badge shows the result.
const defaults = {address: 'http://127.0.0.1:8080', key: ''};

chrome.runtime.onInstalled.addListener(() => {
	const contexts = ['link', 'video', 'audio', 'image'];
	chrome.contextMenus.create({id: 'send', title: 'Send to downstream', contexts});
});

chrome.contextMenus.onClicked.addListener(({linkUrl, srcUrl}) => send(linkUrl ?? srcUrl));
chrome.action.onClicked.addListener(() => chrome.runtime.openOptionsPage());

async function send(url) {
	try {
		const {address, key} = await chrome.storage.local.get(defaults);
		const response = await fetch(new URL('/api/downloads', address), {
			method: 'POST',
			headers: {authorization: `Bearer ${key}`, 'content-type': 'application/json'},
			body: JSON.stringify({url}),
		});
		const {name, detail} = await response.json();
		await show(response.ok ? '✓' : '!', response.ok ? `Added ${name}` : detail);
	} catch (error) {
		await show('!', `Cannot reach downstream-tui: ${error.message}`);
	}
}

async function show(text, title) {
	await chrome.action.setBadgeText({text});
	await chrome.action.setTitle({title});
}
