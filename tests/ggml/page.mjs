// SPDX-License-Identifier: MIT
// llama-server's own page in a browser without a window: asks a question, prints what the page shows then.
//   node page.mjs PORT BROWSER PICTURE QUESTION
import { chromium } from "playwright-core";

const [port, executablePath, picture, question] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });	// the tests are root
const page = await browser.newPage({ viewport: { width: 900, height: 560 } });

page.on("dialog", (dialog) => dialog.dismiss());
await page.goto(`http://127.0.0.1:${port}/`);
await page.waitForFunction(() => document.gMe);	// its scripts have run
await page.evaluate(() => { document.gMe.baseURL = location.origin; });		// it takes port 8080 for granted
await page.fill("#user-in", question);
await page.click("#user-btn");
// Its field is free again once the answer is whole.
await page.waitForFunction(() => !document.querySelector("#user-in").disabled &&
	document.querySelector("#chat-div").innerText.includes("assistant"), null, { timeout: 60000 });
await page.screenshot({ path: picture });
console.log(await page.innerText("#chat-div"));
await browser.close();
