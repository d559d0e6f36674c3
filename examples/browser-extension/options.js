// Address and key of the instance; both stay on this computer.
const form = document.querySelector('form');

const {address, key} = await chrome.storage.local.get({address: 'http://127.0.0.1:8080', key: ''});
form.elements.address.value = address;
form.elements.key.value = key;

form.addEventListener('submit', event => {
	event.preventDefault();
	void chrome.storage.local.set(Object.fromEntries(new FormData(form))).then(() => {
		form.querySelector('button').textContent = 'Saved';
	});
});
