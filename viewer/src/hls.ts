// hls.js, in a file of its own: most of what the page loads, and nothing of it is needed before there is footage.

export { default } from 'hls.js/light';
