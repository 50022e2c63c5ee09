internal import AsyncHTTPClient
internal import Histogram
