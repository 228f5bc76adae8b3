// Loads WhatsApp Web whole. Chromium breaks off what it loads whenever a network of the machine comes or goes, as with each
// container; with a script missing the library waits for the page in vain, and does not say why.

const LOADS = 5;
const PAUSE_MS = 500;

/** A request that did not fail by the will of the page or of this program. */
const TORN = /^net::ERR_(?!ABORTED|BLOCKED)/;

/** Has `page.goto` load again while the page or a script of it is missing. Throws what is missing in the end. */
export function loadWhole(page, pauseMs = PAUSE_MS) {
    const goto = page.goto.bind(page);
    let missing = null;
    page.on('requestfailed', (request) => {
        const words = request.failure()?.errorText ?? '';
        if (request.resourceType() === 'script' && TORN.test(words)) missing ??= `${words} at ${request.url()}`;
    });
    page.goto = async (...args) => {
        for (let left = LOADS; ; ) {
            missing = null;
            const answer = await goto(...args).catch((error) => {
                if (!TORN.test(String(error?.message))) throw error;
                missing = error.message;
            });
            if (!missing) return answer;
            left -= 1;
            if (!left) throw new Error(missing);
            await new Promise((resolve) => setTimeout(resolve, pauseMs));
        }
    };
}
